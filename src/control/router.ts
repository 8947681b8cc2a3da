// The router: which route a request is for, with its path taken apart.
import { HttpRefusal } from './answer.ts';
import { routes, type Method, type Route } from './routes.ts';

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** Throws an `HttpRefusal`: 404 where no route has this path, 405 where none has this method. */
export function findRoute(method: string, path: string): Match {
  const segments = decodePath(path);
  const matches = routes.flatMap((route) => {
    const params = matchPath(route.path, segments);
    return params === undefined ? [] : [{ route, params }];
  });
  const found = matches.find(({ route }) => route.method === method);
  if (found !== undefined) return found;
  if (matches.length === 0) throw unknownPath();
  const allowed = matches.map(({ route }): Method => route.method).join(', ');
  throw new HttpRefusal(
    405,
    {
      code: 'ERR_METHOD_NOT_ALLOWED',
      message: `this path does not take ${method}`,
      hint: `it takes ${allowed}`,
    },
    { allow: allowed },
  );
}

/** Taken apart before it is decoded: an encoded slash is part of a name, and no name has one. */
function decodePath(path: string): string[] {
  try {
    return path
      .split('/')
      .slice(1)
      .map((segment) => decodeURIComponent(segment));
  } catch {
    throw unknownPath();
  }
}

function matchPath(template: string, segments: readonly string[]): Record<string, string> | undefined {
  const wanted = template.split('/').slice(1);
  const takesRest = wanted.at(-1)?.endsWith('+}') === true;
  if (takesRest ? segments.length < wanted.length : segments.length !== wanted.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const segment = segments[index] ?? '';
    if (part.endsWith('+}')) params[part.slice(1, -2)] = segments.slice(index).join('/');
    else if (part.startsWith('{')) params[part.slice(1, -1)] = segment;
    else if (part !== segment) return undefined;
    if (part.startsWith('{') && segment === '') return undefined;
  }
  return params;
}

function unknownPath(): HttpRefusal {
  return new HttpRefusal(404, {
    code: 'ERR_PATH_UNKNOWN',
    message: 'there is nothing at this path',
    hint: 'GET /v1/openapi.json tells what there is',
  });
}
