// posthaste completion: a script that completes commands, options and names of campaigns in a shell.
import { Argument, type Command } from 'commander';
import { ExitCode } from '../base/error.ts';
import type { SetExitCode } from './command_line.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

/** Commands that take the name of a campaign first. */
const campaignCommands = [
  'pause',
  'resume',
  'cancel',
  'rate',
  'priority',
  'complaints',
  'status',
  'results',
  'audit',
];

export function addCompletion(program: Command, setExitCode: SetExitCode): void {
  program
    .command('completion')
    .description('print a script for your shell: eval "$(posthaste completion bash)"')
    .addArgument(new Argument('<shell>', 'your shell').choices(shells))
    .action((shell: Shell) => {
      process.stdout.write(scripts[shell](listWords(program)));
      setExitCode(ExitCode.ok);
    });
}

/** Commands with their options. */
type Words = readonly { readonly name: string; readonly options: readonly string[] }[];

function listWords(program: Command): Words {
  return program.commands.map((command) => ({
    name: command.name(),
    options: command.options.flatMap(({ long }) => (long === undefined || long === null ? [] : [long])),
  }));
}

/** Nothing is asked where no daemon answers at once. */
const names = `posthaste status --json 2>/dev/null | tr '{' '\\n' | sed -n 's/.*"name":"\\([^"]*\\)".*/\\1/p'`;

const scripts: Readonly<Record<Shell, (words: Words) => string>> = {
  bash: (words) => `# completion of posthaste for bash
_posthaste() {
  local word=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]}
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${words.map(({ name }) => name).join(' ')}' -- "$word"))
    return
  fi
  case $command in
${words.map(({ name, options }) => `    ${name}) options='${options.join(' ')}' ;;`).join('\n')}
    *) options= ;;
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif ((COMP_CWORD == 2)) && [[ ' ${campaignCommands.join(' ')} ' == *" $command "* ]]; then
    COMPREPLY=($(compgen -W "$(${names})" -- "$word") $(compgen -f -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _posthaste posthaste
`,
  zsh: (words) => `#compdef posthaste
# completion of posthaste for zsh, by the one for bash
autoload -U +X bashcompinit && bashcompinit
${scripts.bash(words)}`,
  fish: (words) =>
    [
      '# completion of posthaste for fish',
      `complete -c posthaste -n __fish_use_subcommand -f -a '${words.map(({ name }) => name).join(' ')}'`,
      ...words.flatMap(({ name, options }) =>
        options.map(
          (option) => `complete -c posthaste -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`,
        ),
      ),
      ...campaignCommands.map(
        (name) => `complete -c posthaste -n '__fish_seen_subcommand_from ${name}' -a '(${names})'`,
      ),
      '',
    ].join('\n'),
};
