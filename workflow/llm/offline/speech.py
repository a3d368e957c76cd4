"""What the offline model says: plans, direct answers, and an honest summary."""

import re

from workflow.llm.offline.conversation import Conversation, as_words

HOW_TO_GET_A_REAL_MODEL = (
    "To get a real model, set ANTHROPIC_API_KEY or OPENAI_API_KEY, or llm.model and llm.base_url in config.toml, "
    "and start Baud again."
)

_QUESTION = re.compile(
    r"\s*(what|who|whose|why|when|where|which|how|are you|is|do you|does|did|hello|hi|hey|thanks|thank you|ping)\b",
    re.IGNORECASE,
)


def is_question(task: str) -> bool:
    """Whether the task is answered in text: a question or a greeting, nothing to be made."""
    return not task.strip() or bool(_QUESTION.match(task))


def plan_steps(talk: Conversation) -> tuple[str, ...]:
    """Return the steps of the plan, in the task's words."""
    words = as_words(talk.task)[:80]
    begin = f"Add to {talk.app.slug}: {words}" if talk.app else f"Begin {talk.slug} from a template"
    write = "Check that the words are in the file" if talk.app else f"Write what was asked for: {words}"
    return (begin, write, "Serve it and open it to check that the words are there", "Sum up")


def direct_answer(talk: Conversation) -> str:
    """Return the answer to a question, or to a request without tools."""
    if talk.task and not is_question(talk.task) and not talk.tools:
        return f"Offline model, so far on this thread: {as_words(talk.task)}"
    return (
        "I am Baud's offline model: I follow a fixed script, so I cannot answer questions. I can show how a job runs: "
        f'ask for a page, for example "Build a page that says hello". {HOW_TO_GET_A_REAL_MODEL}'
    )


def summary(talk: Conversation) -> str:
    """Return what was done and what was not, from what the checks printed."""
    facts = [f"I am Baud's offline model, and this is what I did for: {talk.words}"]
    if "probe" in talk.results and "FASTAPI_OK" not in talk.results["probe"]:
        facts.append("- FastAPI is not installed in the sandbox, so I made a page instead of an API.")
    facts.append(_about_file(talk))
    facts.append(_about_server(talk))
    facts.append(HOW_TO_GET_A_REAL_MODEL)
    return "\n".join(facts)


def _about_file(talk: Conversation) -> str:
    if "WORDS_FOUND" in talk.results.get("check", ""):
        return f"- The files are in {talk.slug}; I checked that your words are in them."
    if "WORDS_FOUND" in talk.results.get("check_again", ""):
        return f"- The files are in {talk.slug}; the first try to write them failed, the second worked."
    failed = talk.results.get("check_again") or talk.results.get("check")
    if failed is None:
        return f"- What I wrote is in {talk.slug}; without bash I could not check it."
    return f"- I could not write {talk.slug}. The check said: {_last_lines(failed)}"


def _about_server(talk: Conversation) -> str:
    fetched = talk.results.get("fetch_again") or talk.results.get("fetch")
    if fetched is None:
        return "- I did not start a server."
    if "PAGE_OK" not in fetched:
        return f"- The server did not show the words. The check said: {_last_lines(fetched)}"
    url = re.search(r"https?://[^\s'\"]+", talk.results.get("expose", ""))
    if url:
        return f"- It is served at {url[0]}, and I checked that the words are there."
    exposed = talk.results.get("expose")
    reason = f": {_last_lines(exposed)}" if exposed else "."
    return f"- It is served on port {talk.port} inside the sandbox, but has no address outside{reason}"


def _last_lines(text: str) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines() if line.strip())[-200:]
