// How the page looks and what she is called: the settings' theme, and over it what the page's URL says (?accent=teal&hair=3355cc).

const COLOURS = ["accent", "ink", "outline", "background"];
const SIZES = ["caption_px", "chat_px"];
const PRIVATE = ["token", "hide", "model", "name", "refused"]; // not for a page's address to say, or not about looks

// A # in a URL begins its fragment: colours may be written without it.
const hashed = (value) => (/^([0-9a-f]{3}|[0-9a-f]{6}|[0-9a-f]{8})$/i.test(value) ? `#${value}` : value);

export async function theme() {
  const asked = new URLSearchParams(location.search);
  const token = asked.get("token");
  const address = token === null ? "/theme.json" : `/theme.json?${new URLSearchParams({ token })}`;
  const found = await fetch(address).then((answer) => (answer.ok ? answer.json() : {}), () => ({}));
  found.name ??= "";
  for (const [key, value] of asked) if (!PRIVATE.includes(key)) found[key] = hashed(value);
  const style = document.documentElement.style;
  for (const key of COLOURS) {
    if (CSS.supports("color", found[key] ?? "")) style.setProperty(`--${key}`, found[key]);
  }
  for (const key of SIZES) {
    const size = Number(asked.get(key) ?? found[key]);
    if (size >= 8 && size <= 400) style.setProperty(`--${key.replace("_", "-")}`, String(size));
  }
  if (found.font && CSS.supports("font-family", found.font)) style.setProperty("--font", found.font);
  document.title = `${found.name} · ${document.title}`;
  return found;
}
