import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { prettyLine, wantsColor } from '../../../src/env/node/log.ts';

const module = new URL('../../../dist/env/node/log.js', import.meta.url).href;

function runLog(body: string): string[] {
  const script = `import('${module}').then(({ createNodeLog }) => { ${body} })`;
  const { stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  return stderr.trimEnd().split('\n');
}

describe('the log', () => {
  test('writes JSON lines to stderr when it is not a terminal, each with level, time and fields', () => {
    const lines = runLog(
      `const log = createNodeLog({ level: 'info' }).child({ node: 2 });
       log.debug('hidden'); log.info('up', { port: 9092 }); log.error('bad', { error: new Error('why') });`,
    ).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatchObject({ level: 'info', msg: 'up', node: 2, port: 9092 });
    expect(String(lines[0]?.['time'])).toMatch(/^\d{4}-\d\d-\d\dT/);
    expect(lines[1]).toMatchObject({ level: 'error', error: { message: 'why' } });
  });

  test('changes its level while it runs, for the children that it has', () => {
    const lines = runLog(
      `const log = createNodeLog({ level: 'warn' });
       const child = log.child({ node: 2 });
       child.info('one'); log.setLevel('debug'); child.debug('two');
       child.setLevel('silent'); log.error('three'); log.setLevel('error'); log.error(child.level);`,
    ).map((line) => (JSON.parse(line) as { msg: string }).msg);
    expect(lines).toEqual(['two', 'error']);
  });

  test('loses nothing when the process exits in the tick that logged', () => {
    const lines = runLog(
      `const log = createNodeLog({ level: 'info' });
       for (let i = 0; i < 500; i += 1) log.info('line', { i });
       process.exit(1);`,
    );
    expect(lines).toHaveLength(500);
    expect(JSON.parse(lines[499] ?? '')).toMatchObject({ i: 499 });
  });

  test('shows a person one short line, with colour only when asked', () => {
    const line = JSON.stringify({
      level: 'warn',
      time: '2026-01-02T03:04:05.678Z',
      msg: 'slow disk',
      node: 1,
      path: '/a b',
    });
    expect(prettyLine(line, false)).toBe('03:04:05.678 warn  slow disk node=1 path="/a b"\n');
    expect(prettyLine(line, true)).toContain('\x1b[33mwarn \x1b[0m');
    expect(prettyLine('not json\n', false)).toBe('not json\n');
  });

  test('colour follows NO_COLOR, TERM=dumb, FORCE_COLOR and the terminal, in this order', () => {
    expect(wantsColor(true, {})).toBe(true);
    expect(wantsColor(false, {})).toBe(false);
    expect(wantsColor(true, { NO_COLOR: '1' })).toBe(false);
    expect(wantsColor(true, { TERM: 'dumb', FORCE_COLOR: '1' })).toBe(false);
    expect(wantsColor(false, { FORCE_COLOR: '1' })).toBe(true);
  });
});
