// Opens the page without a connection too, from what local.js keeps of it. With a connection the server always answers.
const PARTS = /\/(assets|static|networks)\/|\.css$/; // as local.js keeps them

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', event => event.waitUntil(self.clients.claim()));
self.addEventListener('fetch', event => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  const page = request.mode === 'navigate' && pathname === new URL(self.registration.scope).pathname;
  if (request.method !== 'GET' || origin !== self.location.origin || !(page || PARTS.test(pathname))) return;
  event.respondWith(fetch(request).catch(error => kept(request, page, error)));
});

async function kept(request, page, error) {
  const found = await caches.match(request, { cacheName: 'page', ignoreSearch: page, ignoreVary: true });
  if (!found) throw error;
  return found;
}
