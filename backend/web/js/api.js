/** The public API, as any other program asks it. The key, where there is one, is in a cookie that scripts can't read. */

const ROOT = new URL("../../", import.meta.url);
const PATIENCE = 20_000;

/** Tells of `degraded`, whenever an answer says whether the database gave it. */
export const service = new EventTarget();

/** An error as the API tells it; status 0 where nothing answered. */
export class Problem extends Error {
  constructor(status, { code = "unreachable", detail = "" } = {}) {
    super(detail);
    Object.assign(this, { status, code });
  }

  /** Whether the same may work a little later. */
  get passes() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

/** The address of a route, with parameters; lists become several, and what is empty none. */
export function address(path, params = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) if (one !== "" && one !== null && one !== undefined) url.searchParams.append(name, one);
  }
  return url;
}

/** The answer of a route, or a Problem; `text` for one that is not JSON. */
export async function ask(path, { params, json, method = json ? "POST" : "GET", signal, headers, text = false } = {}) {
  const response = await send(address(path, params), {
    method,
    headers: { ...(json && { "Content-Type": "application/json" }), ...headers },
    body: json && JSON.stringify(json),
    signal: AbortSignal.any([AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])]),
  }, signal);
  if (text && response.ok) return response.text();
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body);
  if (typeof body.degraded === "boolean" && body.source !== undefined && !path.startsWith("search")) {
    service.dispatchEvent(new CustomEvent("degraded", { detail: body.degraded }));
  }
  return body;
}

async function send(url, options, signal) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0);
  }
}

/** Sends a file as it is; `progress` is told the part that has gone, 0 to 1. */
export function upload(path, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address(path));
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => progress(event.loaded / event.total));
    request.addEventListener("error", () => reject(new Problem(0)));
    request.addEventListener("load", () => {
      const body = request.response ?? {};
      if (request.status < 400) resolve(body);
      else reject(new Problem(request.status, body));
    });
    request.send(file);
  });
}

/** A part of a path. */
export const part = (text) => encodeURIComponent(text);
