// What scripts say; the texts come with the page. A module of its own: one that is imported under two addresses would run twice.

const words = JSON.parse(document.body.dataset.words);
export const say = (key, values = {}) => words[key].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
