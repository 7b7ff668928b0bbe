// Colours and fonts of charts come from the stylesheet, so they follow light and dark.
const PALETTE = 8;
const SHADES = 7;

export const POINT_STYLES = ["circle", "triangle", "rect", "rectRot", "star", "crossRot", "cross", "line"];

export function theme(element = document.documentElement) {
  const style = getComputedStyle(element);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const list = (name, count) => Array.from({ length: count }, (_, i) => of(`${name}${i + 1}`));
  return {
    ink: of("ink"),
    quiet: of("quiet"),
    line: of("line"),
    card: of("card"),
    accent: of("accent"),
    bad: of("off"),
    high: of("heat-high"),
    low: of("heat-low"),
    palette: list("c", PALETTE),
    shades: list("s", SHADES),
    font: getComputedStyle(document.body).fontFamily,
  };
}

// The colours of n groups: those that the colour-blind can tell apart (Okabe and Ito), or
// shades from light to dark where the groups have an order. Missing values are grey.
export function groupColours(look, names, ordered) {
  if (names.length === 1) return [look.accent];
  const known = names.filter((name) => name !== "missing").length;
  return names.map((name, index) => {
    if (name === "missing") return look.quiet;
    if (!ordered) return look.palette[index % look.palette.length];
    const place = known > 1 ? Math.round((index * (look.shades.length - 1)) / (known - 1)) : SHADES - 1;
    return look.shades[place];
  });
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function alpha(colour, share) {
  const hex = Math.round(share * 255).toString(16).padStart(2, "0");
  return /^#[0-9a-f]{6}$/i.test(colour) ? colour + hex : colour;
}

// Mixes two colours written as #rrggbb.
export function mix(from, to, share) {
  const parts = [from, to].map((c) => [1, 3, 5].map((at) => parseInt(c.slice(at, at + 2), 16)));
  const mixed = parts[0].map((value, i) => Math.round(value + (parts[1][i] - value) * share));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

// Black or white, whichever reads better on a colour (relative luminance, WCAG 2.2).
export function readable(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const share = parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}
