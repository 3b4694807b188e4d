// Changes what a page of explore shows without loading it anew: the address is what the page would have, so that back, forward, a
// bookmark and a link for a colleague all work. Charts and live parts stay; they are told to fetch themselves again.

const box = () => document.getElementById("explore");

async function go(url, push = true) {
  const at = document.activeElement;
  const focus = at?.id || at?.name ? { id: at.id, name: at.name, value: at.value, from: at.selectionStart } : null;
  let answer;
  try {
    answer = await fetch(url, { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.status);
  } catch {
    location.href = url; // the page itself says what is wrong
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = page.getElementById("explore");
  if (!now) return (location.href = url);
  if (push) history.pushState(null, "", answer.url);
  const open = [...box().querySelectorAll("details[open][id]")].map(({ id }) => id);
  for (const one of now.querySelectorAll("[data-chart][id], [data-live][id]")) {
    const old = document.getElementById(one.id);
    if (!old || old.dataset.chart !== one.dataset.chart) continue;
    if (one.dataset.chart) old.dataset.src = one.dataset.src;
    else {
      old.dataset.live = one.dataset.live;
      if (!("late" in one.dataset)) old.replaceChildren(...one.childNodes);
    }
    one.replaceWith(old);
  }
  box().replaceWith(now);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focus) {
    const named = focus.name && [...now.querySelectorAll(`[name="${CSS.escape(focus.name)}"]`)];
    const again = (focus.id && document.getElementById(focus.id)) || named?.find(({ value }) => value === focus.value) || named?.[0];
    again?.focus({ preventScroll: true });
    if (focus.from != null) again?.setSelectionRange?.(focus.from, focus.from);
  }
  document.dispatchEvent(new CustomEvent("luthier:asked"));
}

function put(changes) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    if (value) query.set(name, value);
  }
  go(`${box().dataset.where}?${query}`);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.closest("#explore") || form.method !== "get") return;
  event.preventDefault();
  const query = new URLSearchParams(new FormData(form, event.submitter));
  for (const [name, value] of [...query]) if (!value && !/^(low|high|only)\./.test(name) && name !== "axes") query.delete(name, value);
  go(`${form.getAttribute("action")}?${query}`);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("#explore .filter select")) event.target.form.requestSubmit();
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("#explore a[data-go]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.href);
});
document.addEventListener("luthier:brush", ({ detail }) => put({ [`place.${detail.key}`]: `${detail.low.toFixed(4)}..${detail.high.toFixed(4)}` }));
document.addEventListener("luthier:window", ({ detail }) => put({ from: String(detail.from), to: String(detail.to) }));
document.addEventListener("luthier:pick", ({ detail }) => {
  if (!box()) return;
  const there = (new URLSearchParams(location.search).get("sel") ?? "").split(",").filter(Boolean);
  const number = String(detail.number);
  put({ sel: (there.includes(number) ? there.filter((one) => one !== number) : [...there, number]).join(",") });
});
addEventListener("popstate", () => box() && go(location.href, false));
