/** The console at `/`: a few files, read once, that need nothing from elsewhere. */
import { readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';

const TYPES = {
  html: 'text/html',
  css: 'text/css',
  js: 'text/javascript',
  svg: 'image/svg+xml',
} as const;

const FILES = [
  { url: '/', name: 'index', type: 'html' },
  { url: '/console/console.css', name: 'console', type: 'css' },
  { url: '/console/console.js', name: 'console', type: 'js' },
  { url: '/console/rpc.js', name: 'rpc', type: 'js' },
  { url: '/console/icon.svg', name: 'icon', type: 'svg' },
] as const satisfies readonly { url: string; name: string; type: keyof typeof TYPES }[];

/** Adds the routes. */
export function serveConsole(app: FastifyInstance): void {
  for (const { url, name, type } of FILES) {
    // The package ships src: the path is the same from src/http as from dist/http.
    const file = new URL(`../../src/http/console/${name}.${type}`, import.meta.url);
    const content = readFileSync(file);
    app.get(url, (_request, reply) =>
      reply.type(`${TYPES[type]}; charset=utf-8`).header('Cache-Control', 'no-cache').send(content),
    );
  }
}
