// Words that don't fit their buttons. The function runs in the page, by whatever drives the browser.

/** The buttons in sight whose words reach beyond their padding, or that reach beyond the window. */
export function wordsOutside(selector) {
  return [...document.querySelectorAll(selector)]
    .filter((button) => {
      const range = document.createRange();
      range.selectNodeContents(button);
      const [words, box] = [range.getBoundingClientRect(), button.getBoundingClientRect()];
      const padding = parseFloat(getComputedStyle(button).paddingInlineStart);
      // A pixel for what is rounded.
      const isInside = words.left >= box.left + padding - 1 && words.right <= box.right - padding + 1;
      return !isInside || box.right > innerWidth || words.height > 2 * parseFloat(getComputedStyle(button).fontSize);
    })
    .map((button) => button.textContent);
}
