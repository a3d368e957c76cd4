"use strict";

const THEME_KEY = "theme";
const root = document.documentElement;
const themeButton = document.getElementById("theme");
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");

function storedTheme() {
  try {
    return localStorage.getItem(THEME_KEY);
  } catch {
    return null; // storage may be switched off; the system's colours are used then
  }
}

function rememberTheme(theme) {
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // the choice lasts until the page is closed
  }
}

function isDark() {
  return (root.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
}

function showTheme() {
  themeButton.setAttribute("aria-pressed", String(isDark()));
}

function fieldError(field) {
  if (field.validity.valueMissing) return "Please fill this in.";
  if (field.validity.typeMismatch) return "This does not look like an email address.";
  return "";
}

function checkField(field) {
  const message = fieldError(field);
  document.getElementById(`${field.id}-error`).textContent = message;
  field.setAttribute("aria-invalid", String(message !== ""));
  return message === "";
}

const saved = storedTheme();
if (saved === "dark" || saved === "light") root.dataset.theme = saved;
themeButton.hidden = false;
showTheme();
systemDark.addEventListener("change", showTheme);
themeButton.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  rememberTheme(root.dataset.theme);
  showTheme();
});

const form = document.getElementById("contact-form");
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = [...form.querySelectorAll("input, textarea")];
  const wrong = fields.filter((field) => !checkField(field));
  const status = document.getElementById("form-status");
  if (wrong.length > 0) {
    status.textContent = "";
    wrong[0].focus();
    return;
  }
  // A static page has nobody to send to: replace this line by a request to your own backend.
  status.textContent = "The message is complete.";
});
