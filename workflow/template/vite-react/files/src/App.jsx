import { useState } from "react";

const FIRST_ITEMS = [
  { id: 1, text: "Edit src/App.jsx and save", done: false },
  { id: 2, text: "Watch the page change at once", done: false },
];

function Item({ item, onToggle }) {
  return (
    <li>
      <label>
        <input type="checkbox" checked={item.done} onChange={() => onToggle(item.id)} />
        <span className={item.done ? "done" : undefined}>{item.text}</span>
      </label>
    </li>
  );
}

export default function App() {
  const [items, setItems] = useState(FIRST_ITEMS);
  const [text, setText] = useState("");
  const open = items.filter((item) => !item.done).length;

  function toggle(id) {
    setItems(items.map((item) => (item.id === id ? { ...item, done: !item.done } : item)));
  }

  function add(event) {
    event.preventDefault();
    if (text.trim() === "") return;
    setItems([...items, { id: items.length + 1, text: text.trim(), done: false }]);
    setText("");
  }

  return (
    <main>
      <h1>{"{{app_name}}"}</h1>
      <p role="status">{open === 0 ? "All done." : `${open} to do`}</p>
      <ul>
        {items.map((item) => (
          <Item key={item.id} item={item} onToggle={toggle} />
        ))}
      </ul>
      <form onSubmit={add}>
        <label htmlFor="text">What next?</label>
        <input id="text" value={text} onChange={(event) => setText(event.target.value)} />
        <button type="submit">Add</button>
      </form>
    </main>
  );
}
