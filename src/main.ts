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
  // Half of a short run would go into compiling us anew (node main.ts --version: 0.6 s without, 0.3 s with it).
  process.getBuiltinModule('node:module').enableCompileCache();
  // Garbage would otherwise be left lying for 300 MB, because the machine has room: bench/memory.ts, 1 million rows against
  // 10,000. Live data is a tenth of that. The price is more collecting: about 15 % of the processor time of a run.
  const v8 = process.getBuiltinModule('node:v8');
  v8.setFlagsFromString('--semi-space-growth-factor=1');
  v8.setFlagsFromString('--heap-growing-percent=50');
  const { runCommandLine } = await import('./cli/command_line.ts');
  process.exitCode = await runCommandLine(process.argv.slice(2));
}
