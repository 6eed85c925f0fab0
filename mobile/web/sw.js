/**
 * Everything of the page from a cache of its own: it works without a network once it was open, and never asks for anything
 * else.  The two headers let LiteRT use several threads (cross-origin isolation), on servers that do not send them too.
 */
importScripts("files.js"); // self.SENTIO: {version, model, files}; a new version is a new worker

const { version, files } = self.SENTIO;
const name = `sentio-${version}`;
const HEADERS = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

self.addEventListener("install", (event) => {
  // All but the runtime's variants, of which a browser loads one: that comes in when it is asked for.
  const first = files.filter((file) => !/\/wasm\//.test(file));
  event.waitUntil(
    caches
      .open(name)
      .then((cache) => cache.addAll(first.map((file) => new Request(file, { cache: "no-cache" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((all) => Promise.all(all.filter((n) => n.startsWith("sentio-") && n !== name).map((n) => caches.delete(n))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const ours = url.origin === self.location.origin && url.href.startsWith(self.registration.scope);
  if (event.request.method === "GET" && ours) event.respondWith(answer(event.request));
});

async function answer(request) {
  const cache = await caches.open(name);
  const plain = new URL(request.url);
  plain.search = "";
  plain.hash = "";
  if (plain.pathname.endsWith("/")) plain.pathname += "index.html";
  let response = await cache.match(plain.href);
  if (!response) {
    response = await fetch(plain.href, { cache: "no-cache" });
    const known = files.some((file) => new URL(file, self.registration.scope).href === plain.href);
    if (response.ok && known) await cache.put(plain.href, response.clone());
  }
  const headers = new Headers(response.headers);
  for (const [key, value] of Object.entries(HEADERS)) headers.set(key, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
