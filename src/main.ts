#!/usr/bin/env node
// The executable: checks the version of Node, runs the command line, turns its result into an exit code.

/** Plain syntax and no static imports: it must run, and say so, on Nodes that cannot load the rest. */
const required = [24, 15] as const;
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < required[0] || (major === required[0] && minor < required[1])) {
  process.stderr.write(
    `posthaste: this is Node ${process.versions.node}; ${required.join('.')} or newer is needed.\n` +
      '  In a clone, after npm ci, use the one that came with it: npm run posthaste -- send …\n',
  );
  process.exitCode = 78;
} else {
  // Half of a short run would go into compiling us anew. Threads look for the cache in the environment only: with it
  // they are ready in 0.2 s instead of 0.35 s.
  const nodeModule = process.getBuiltinModule('node:module');
  nodeModule.enableCompileCache();
  const cacheFolder = nodeModule.getCompileCacheDir();
  if (cacheFolder !== undefined) process.env['NODE_COMPILE_CACHE'] ??= cacheFolder;
  setUpHeaps();
  const { runCommandLine } = await import('./cli/command_line.ts');
  process.exitCode = await runCommandLine(process.argv.slice(2));
}

/**
 * Gives every heap 8 MiB for young objects, and keeps it there. Left alone, V8 lets garbage lie for 300 MB because the machine has
 * room (bench/memory.ts: 1 million rows against 10,000; live data is a tenth of that); held at the 1 MiB that a heap starts
 * with, it spends a fifth of a run on collecting (bench/flow.ts).
 */
function setUpHeaps(): void {
  const v8 = process.getBuiltinModule('node:v8');
  // Threads that start later begin with these.
  v8.setFlagsFromString('--min-semi-space-size=8');
  v8.setFlagsFromString('--max-semi-space-size=8');
  v8.setFlagsFromString('--heap-growing-percent=50');
  // This heap is there already, and grows by a factor when more survives than it holds: once, and never again.
  v8.setFlagsFromString('--semi-space-growth-factor=8');
  const youngBytes = (): number =>
    v8.getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')?.space_size ?? Infinity;
  for (let tries = 0; tries < 20 && youngBytes() < 8 * 1_048_576; tries += 1)
    Array.from({ length: 10_000 }, (_, index) => [index]);
  v8.setFlagsFromString('--semi-space-growth-factor=1');
}
