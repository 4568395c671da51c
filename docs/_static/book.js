// What is wider than the page scrolls, and the keyboard must reach what scrolls.
function reachable() {
  document.querySelectorAll("div.formula, .pst-scrollable-table-container, p:has(> img)").forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", "0");
    else box.removeAttribute("tabindex");
  });
}
window.addEventListener("load", reachable);
window.addEventListener("resize", reachable);

// The theme gives the triangle beside an entry of the menu no name.
window.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("nav summary:not([aria-label])").forEach((toggle) => {
    const entry = toggle.closest("li")?.querySelector("a")?.textContent.trim();
    toggle.setAttribute("aria-label", `Pages of ${entry}`);
  });
});
