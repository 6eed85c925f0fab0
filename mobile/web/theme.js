// Before the first paint, so that a chosen theme does not flash.
(() => {
  try {
    const theme = localStorage.getItem("sentio-theme");
    if (theme) document.documentElement.dataset.theme = theme;
  } catch {
    // No storage here: the system's colours.
  }
})();
