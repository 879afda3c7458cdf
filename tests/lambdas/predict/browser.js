// A browser's document for the page at /docs on Node; its URL is the first argument.
const elements = {};
const made = (tag) => ({
  tag, textContent: "", children: [],
  appendChild(child) { this.children.push(child); return child; },
  get value() { return this.given ?? this.children[0]?.value ?? ""; },
  set value(given) { this.given = given; },
});
const byId = (id) => elements[id] ??= made(id === "what" ? "select" : id);
globalThis.document = { getElementById: byId, createElement: made };
globalThis.location = new URL(process.argv[2]);
const real = fetch;
globalThis.fetch = (url, options) => real(new URL(url, location.href), options);
const settled = async (ready) => { while (!ready()) await new Promise((resolve) => setImmediate(resolve)); };
