import { renderToString } from "react-dom/server";
import { expect, test } from "vitest";

import App from "./App.jsx";

test("the first page shows the name and what is to do", () => {
  const html = renderToString(<App />);
  expect(html).toContain("{{app_name}}");
  expect(html).toContain("2 to do");
  expect(html).toContain("What next?");
});
