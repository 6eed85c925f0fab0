/** An SVG element: attributes by name, then what it holds (elements or text). */
export function svg(tag, attributes = {}, ...inside) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

/** Tenths of a pixel are enough. */
export const px = (value) => Math.round(value * 10) / 10;
