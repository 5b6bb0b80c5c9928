import { describe, expect, it } from 'vitest';
import {
  AmqpError,
  REPLIES,
  type ReplyName,
  replyText,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { payloadSnippet } from '../../../../src/protocols/amqp/codec/terms.ts';
import { utf8Size } from '../../../../src/std/bytes.ts';
import { defs } from './amqplib.ts';

const names = Object.keys(REPLIES) as ReplyName[];

describe('reply codes', () => {
  it('are those of amqplib', () => {
    const { constants } = defs;
    for (const name of names) expect([name, constants[name]]).toEqual([name, REPLIES[name].code]);
    const theirs = Object.entries(constants).filter(([, code]) => code > 300 && code < 600);
    expect(theirs.map(([name]) => name).sort()).toEqual([...names].sort());
  });

  it('end the channel below 320 and from 403 to 406, else the connection; on channel 0 always that', () => {
    for (const name of names) {
      const { code } = REPLIES[name];
      const isSoft = code < 320 || (code >= 403 && code <= 406);
      const error = new AmqpError(name, 'words');
      expect([name, error.scopeOn(1)]).toEqual([name, isSoft ? 'channel' : 'connection']);
      expect(error.scopeOn(0)).toBe('connection');
      expect(error.code).toBe(`AMQP_${name}`);
    }
  });
});

describe('a reply text', () => {
  it('is name and words, or the name', () => {
    const error = new AmqpError('NOT_FOUND', "no queue 'q' in vhost '/'", {
      classId: 50,
      methodId: 10,
    });
    expect(error.replyText).toBe("NOT_FOUND - no queue 'q' in vhost '/'");
    expect(error.replyCode).toBe(404);
    expect(error.method).toEqual({ classId: 50, methodId: 10 });
    expect(replyText('INTERNAL_ERROR', '')).toBe('INTERNAL_ERROR');
  });

  it('is at most 255 bytes, and cut between characters', () => {
    const head = 'NOT_FOUND - '.length;
    expect(replyText('NOT_FOUND', 'x'.repeat(255 - head))).toHaveLength(255);
    const cut = replyText('NOT_FOUND', 'x'.repeat(256 - head));
    expect(cut).toBe(`NOT_FOUND - ${'x'.repeat(252 - head)}...`);
    for (let lead = 0; lead < 4; lead += 1) {
      const wide = replyText('NOT_FOUND', 'x'.repeat(lead) + '😀ü'.repeat(60));
      expect(utf8Size(wide)).toBeGreaterThan(255 - 4);
      expect(utf8Size(wide)).toBeLessThanOrEqual(255);
      expect(wide).toMatch(/[😀ü]\.\.\.$/u);
    }
  });

  it('shows bytes as RabbitMQ does', () => {
    expect(payloadSnippet(Buffer.from('say "\\"'))).toBe('all octets = <<"say \\"\\\\\\"">>');
    expect(payloadSnippet(Uint8Array.of())).toBe('all octets = <<>>');
    expect(payloadSnippet(Uint8Array.of(0x41, 0xff))).toBe('all octets = <<65,255>>');
    expect(payloadSnippet(Buffer.from('0123456789abcdefg'))).toBe(
      'first 16 octets = <<"0123456789abcdef">>',
    );
  });
});
