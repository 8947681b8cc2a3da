// The OpenAPI document: made of the routes and of the schemas that check what they take and give.
import * as z from 'zod';
import { routes, type Route } from './routes.ts';
import { errorView } from './views.ts';

type Json = Readonly<Record<string, unknown>>;

/** OpenAPI 3.1, whose schemas are JSON Schema 2020-12. */
export function describeApi(version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = route.path.replace('+}', '}');
    const methods = (paths[path] ??= {});
    methods[route.method.toLowerCase()] = describeRoute(route);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Posthaste control API',
      version,
      description: 'Submit, watch and steer campaigns of a running daemon.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    // On the Unix socket permissions are the authority, and no token is asked for.
    security: [{ token: [] }, {}],
    paths,
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  };
}

function describeRoute({ id, sentence, path, query, body, answer }: Route): Json {
  return {
    operationId: id,
    summary: sentence,
    parameters: [...pathParameters(path), ...(query === undefined ? [] : queryParameters(query))],
    ...(body === undefined ? {} : { requestBody: { required: true, content: contentOf(body) } }),
    responses: {
      [answer.status]: { description: 'done', ...contentOfAnswer(answer) },
      default: {
        description: 'refused, or failed',
        content: { 'application/json': { schema: schemaOf(errorView) } },
      },
    },
  };
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\+?\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(query: z.ZodObject): Json[] {
  return Object.entries(query.shape).map(([name, schema]) => ({
    name,
    in: 'query',
    required: !z.safeParse(schema, undefined).success,
    schema: schemaOf(schema, 'input'),
  }));
}

function contentOf(body: z.ZodType | 'stream'): Json {
  if (body === 'stream') return { 'application/octet-stream': {} };
  return { 'application/json': { schema: schemaOf(body, 'input') } };
}

function contentOfAnswer({ schema, stream }: Route['answer']): Json {
  if (stream !== undefined) return { content: { [stream]: { schema: { type: 'string' } } } };
  return schema === undefined ? {} : { content: { 'application/json': { schema: schemaOf(schema) } } };
}

function schemaOf(schema: z.core.$ZodType, io: 'input' | 'output' = 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest;
}
