const THEMES = [
  [null, "Theme: auto"], // as the system has it
  ["light", "Theme: light"],
  ["dark", "Theme: dark"],
];

/** A button that goes through the themes; theme.js applies the chosen one before the first paint. */
export function setUpTheme(button) {
  const root = document.documentElement;
  const show = () => {
    const [, text] = THEMES.find(([name]) => name === (root.dataset.theme ?? null)) ?? THEMES[0];
    button.textContent = text;
  };
  button.addEventListener("click", () => {
    const at = THEMES.findIndex(([name]) => name === (root.dataset.theme ?? null));
    const [next] = THEMES[(at + 1) % THEMES.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    try {
      if (next) localStorage.setItem("sentio-theme", next);
      else localStorage.removeItem("sentio-theme");
    } catch {
      // No storage here: until the page is left.
    }
    show();
  });
  show();
}
