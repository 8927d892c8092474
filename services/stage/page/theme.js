// How the page looks: the settings' theme, and over it what the page's URL says (?accent=teal&caption_px=60).

const COLOURS = ["accent", "ink", "outline", "background"];
const SIZES = ["caption_px", "chat_px"];

export async function theme() {
  const asked = new URLSearchParams(location.search);
  const found = await fetch(`/theme.json`).then((answer) => (answer.ok ? answer.json() : {}), () => ({}));
  for (const key of [...COLOURS, ...SIZES, "font"]) if (asked.has(key)) found[key] = asked.get(key);
  const style = document.documentElement.style;
  for (const key of COLOURS) {
    const value = String(found[key] ?? "");
    const colour = /^[0-9a-f]{3,8}$/i.test(value) ? `#${value}` : value; // a # in a URL begins its fragment
    if (CSS.supports("color", colour)) style.setProperty(`--${key}`, (found[key] = colour));
  }
  for (const key of SIZES) {
    const size = Number(found[key]);
    if (size >= 8 && size <= 400) style.setProperty(`--${key.replace("_", "-")}`, String(size));
  }
  if (found.font && CSS.supports("font-family", found.font)) style.setProperty("--font", found.font);
  return found;
}
