// A request of the control API as a route takes it: query and body checked, the body bounded.
import type { IncomingMessage } from 'node:http';
import * as z from 'zod';
import { HttpRefusal } from './answer.ts';
import type { Route, RouteInput } from './routes.ts';
import type { WaitForClient } from './turns.ts';

/** Of JSON; files and lists are streams. */
const mostJsonBytes = 1_048_576;

/** Throws an `HttpRefusal` for what the route does not take. */
export async function readRequest(
  request: IncomingMessage,
  route: Route,
  search: URLSearchParams,
  wait: WaitForClient,
): Promise<Omit<RouteInput, 'params' | 'signal'>> {
  const query = check(route.query ?? z.strictObject({}), queryOf(search), 'query');
  const lastEventId = singleOf(request.headers['last-event-id']);
  const body = await readBody(request, route.body, wait);
  return { query, body, stream: readStream(request, wait), lastEventId };
}

function queryOf(search: URLSearchParams): Record<string, string> {
  const query: Record<string, string> = {};
  for (const [name, value] of search) {
    if (Object.hasOwn(query, name)) throw badRequest('query', `"${name}" is there more than once`);
    query[name] = value;
  }
  return query;
}

async function readBody(
  request: IncomingMessage,
  schema: Route['body'],
  wait: WaitForClient,
): Promise<unknown> {
  if (schema === 'stream') return undefined;
  const text = await readText(request, wait);
  if (schema === undefined) {
    if (text !== '') throw badRequest('body', 'none was expected');
    return undefined;
  }
  // A page in a browser can send other types without asking first.
  if (text !== '' && !/^application\/json\b/i.test(request.headers['content-type'] ?? '')) {
    throw new HttpRefusal(415, {
      code: 'ERR_CONTENT_TYPE',
      message: 'the body is not said to be JSON',
      hint: 'send "Content-Type: application/json"',
    });
  }
  return check(schema, text === '' ? {} : parseJson(text), 'body');
}

async function readText(request: IncomingMessage, wait: WaitForClient): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of readStream(request, wait)) {
    bytes += chunk.length;
    if (bytes > mostJsonBytes) {
      throw new HttpRefusal(413, {
        code: 'ERR_BODY_TOO_LARGE',
        message: `the body has more than ${mostJsonBytes} bytes`,
        hint: 'lists and files go into a submission, as streams',
      });
    }
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The bytes of a body that is there to its end. A client that dies in the middle makes this throw, for Node tells it from an end. */
async function* readStream(
  request: IncomingMessage,
  wait: WaitForClient,
): AsyncGenerator<Uint8Array, void, undefined> {
  // Whoever stops half-way still wants to answer.
  const chunks: AsyncIterator<unknown> = request.iterator({ destroyOnReturn: false });
  try {
    for (;;) {
      const next = await wait(chunks.next());
      if (next.done === true) break;
      if (next.value instanceof Uint8Array) yield next.value;
    }
  } catch {
    throw cutOff();
  } finally {
    await chunks.return?.();
  }
  if (!request.complete) throw cutOff();
}

function cutOff(): HttpRefusal {
  return new HttpRefusal(400, {
    code: 'ERR_BODY_CUT_OFF',
    message: 'the body ended before its end',
    hint: 'send it again, whole',
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest('body', 'it is not JSON');
  }
}

/** Returns what it was given: the route takes it apart by the same schema, which makes its type. */
function check(schema: z.ZodType, value: unknown, what: string): unknown {
  const checked = schema.safeParse(value);
  if (checked.success) return value;
  const problems = checked.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.join('.')}: ${message}`,
  );
  throw badRequest(what, problems.join('; '));
}

function badRequest(what: string, problem: string): HttpRefusal {
  return new HttpRefusal(400, {
    code: 'ERR_REQUEST_INVALID',
    message: `the ${what} is not what was expected: ${problem}`,
    hint: 'GET /v1/openapi.json tells what is',
  });
}

function singleOf(field: string | readonly string[] | undefined): string | undefined {
  return typeof field === 'string' ? field : undefined;
}
