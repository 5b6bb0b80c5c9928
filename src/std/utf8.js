// UTF-8 text in byte arrays. Short ASCII, which is nearly every name on a wire, takes a plain loop:
// the built-in coders cost more to enter than such a text costs to copy. Bad UTF-8 is refused, and
// a lone surrogate is written as U+FFFD, as the built-in encoder does.
import { BytesError } from './byte-ops.js';
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Above this size the built-in decoder wins. */
const SHORT_BYTES = 32;
/** Size of `text` in UTF-8 bytes. */
export function utf8Size(text) {
    let size = text.length;
    for (let i = 0; i < text.length; i += 1) {
        const unit = text.charCodeAt(i);
        if (unit < 0x80)
            continue;
        if (unit < 0x800)
            size += 1;
        else {
            size += 2;
            // A pair is 4 bytes for 2 units: 2 more, and its second unit is done.
            if (isPair(text, i))
                i += 1;
        }
    }
    return size;
}
function isPair(text, i) {
    return (text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00;
}
/**
 * Writes `text` at `at` and returns the position behind it. The caller made room for `utf8Size`.
 */
export function writeUtf8(text, out, at) {
    for (let i = 0; i < text.length; i += 1) {
        let unit = text.charCodeAt(i);
        if (unit < 0x80) {
            out[at++] = unit;
        }
        else if (unit < 0x800) {
            out[at++] = 0xc0 | (unit >> 6);
            out[at++] = 0x80 | (unit & 0x3f);
        }
        else if (isPair(text, i)) {
            i += 1;
            unit = 0x10000 + ((unit & 0x3ff) << 10) + (text.charCodeAt(i) & 0x3ff);
            out[at++] = 0xf0 | (unit >> 18);
            out[at++] = 0x80 | ((unit >> 12) & 0x3f);
            out[at++] = 0x80 | ((unit >> 6) & 0x3f);
            out[at++] = 0x80 | (unit & 0x3f);
        }
        else {
            if ((unit & 0xf800) === 0xd800)
                unit = 0xfffd;
            out[at++] = 0xe0 | (unit >> 12);
            out[at++] = 0x80 | ((unit >> 6) & 0x3f);
            out[at++] = 0x80 | (unit & 0x3f);
        }
    }
    return at;
}
/** Reads bytes[start, end) as text. Throws {@link BytesError} for bad UTF-8. */
export function readUtf8(bytes, start, end) {
    if (end - start <= SHORT_BYTES) {
        let text = '';
        let at = start;
        while (at < end && bytes[at] < 0x80)
            text += String.fromCharCode(bytes[at++]);
        if (at === end)
            return text;
    }
    try {
        return decoder.decode(bytes.subarray(start, end));
    }
    catch (cause) {
        throw new BytesError('BYTES_BAD_TEXT', 'bad UTF-8', { start, end, cause: String(cause) });
    }
}
export function encodeUtf8(text) {
    return encoder.encode(text);
}
/** Throws {@link BytesError} for bad UTF-8. */
export function decodeUtf8(bytes) {
    return readUtf8(bytes, 0, bytes.length);
}
