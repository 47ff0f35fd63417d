/* SPDX-License-Identifier: MIT */
/* Cuts a stream of bytes into JSON texts; see the header. */
#include "monitor/json-stream.h"

#include <stdbool.h>
#include <string.h>

struct JsonStream {
    JsonStreamHandler *handler;
    void *opaque;
    GString *text;
    unsigned depth;
    char quote;    /* '"' or '\'' inside a string, else 0 */
    bool escaped;  /* the last character in the string was a backslash */
    bool bare;     /* a text that starts with neither { nor [: ends with the line */
    bool overflow; /* too long or too deep: dropped up to its end */
    bool lost;     /* behind what cannot be JSON: dropped up to where a value may begin */
};

enum { JSON_STREAM_RESET_BYTE = 0xff }; /* never part of UTF-8; clients send it to resynchronise */

JsonStream *json_stream_new(JsonStreamHandler *handler, void *opaque)
{
    JsonStream *stream = g_new0(JsonStream, 1);

    stream->handler = handler;
    stream->opaque = opaque;
    stream->text = g_string_new(NULL);
    return stream;
}

void json_stream_free(JsonStream *stream)
{
    g_string_free(stream->text, TRUE);
    g_free(stream);
}

void json_stream_reset(JsonStream *stream)
{
    g_string_truncate(stream->text, 0);
    stream->depth = 0;
    stream->quote = 0;
    stream->escaped = stream->bare = stream->overflow = stream->lost = false;
}

static void json_stream_complete(JsonStream *stream)
{
    GString *text = stream->text;
    bool overflow = stream->overflow;

    /* The handler may reset or feed us: it works on a text of its own. */
    stream->text = g_string_new(NULL);
    json_stream_reset(stream);
    stream->handler(stream->opaque, overflow ? NULL : text->str, overflow ? 0 : text->len);
    g_string_free(text, TRUE);
}

static void json_stream_append(JsonStream *stream, char c)
{
    if (stream->text->len >= JSON_STREAM_TEXT_MAX) {
        stream->overflow = true;
        g_string_truncate(stream->text, 0);
    }
    if (!stream->overflow) {
        g_string_append_c(stream->text, c);
    }
}

/* A character inside a string. */
static void json_stream_string(JsonStream *stream, char c)
{
    if (c == '\n') {
        /* No string goes on in the next line: what we have is garbage. */
        json_stream_complete(stream);
    } else if (stream->escaped) {
        stream->escaped = false;
        if (c == '\'') {
            /* JSON has no \' : the backslash goes. */
            if (stream->text->len) {
                g_string_truncate(stream->text, stream->text->len - 1);
            }
        }
        json_stream_append(stream, c);
    } else if (c == stream->quote) {
        stream->quote = 0;
        json_stream_append(stream, '"');
    } else {
        stream->escaped = c == '\\';
        if (c == '"') {
            json_stream_append(stream, '\\');
        }
        json_stream_append(stream, c);
    }
}

static void json_stream_open(JsonStream *stream, char c)
{
    if (++stream->depth > JSON_STREAM_DEPTH_MAX) {
        stream->overflow = true;
        g_string_truncate(stream->text, 0);
    }
    json_stream_append(stream, c);
}

/* Whether the byte can be part of no text where it stands. */
static bool is_garbage(const JsonStream *stream, uint8_t byte)
{
    bool between = !stream->depth && !stream->bare;

    if (byte == JSON_STREAM_RESET_BYTE) {
        return !between; /* nothing to drop, nothing to say */
    }
    return !stream->quote &&
           ((byte < ' ' && byte && !strchr("\t\r\n", byte)) || (between && byte == '%'));
}

/* Who waits for an answer gets one at once: the end of the text may never come. */
static void json_stream_drop(JsonStream *stream, uint8_t byte)
{
    if (byte != JSON_STREAM_RESET_BYTE) {
        json_stream_append(stream, (char)byte);
    }
    json_stream_complete(stream);
    stream->lost = true;
}

static void json_stream_byte(JsonStream *stream, uint8_t byte)
{
    char c = byte;

    if (stream->lost && byte && !strchr(" \t\r\n{[", byte)) {
        return;
    }
    stream->lost = false;
    if (is_garbage(stream, byte)) {
        json_stream_drop(stream, byte);
        return;
    }
    if (byte == JSON_STREAM_RESET_BYTE) {
        return;
    }
    if (stream->bare) {
        if (c == '\n' || c == '\r') {
            json_stream_complete(stream);
        } else {
            json_stream_append(stream, c);
        }
        return;
    }
    if (stream->quote) {
        json_stream_string(stream, c);
        return;
    }
    if (!stream->depth && (!c || strchr(" \t\r\n", c))) {
        return;
    }
    switch (c) {
    case '{':
    case '[':
        json_stream_open(stream, c);
        break;
    case '}':
    case ']':
        json_stream_append(stream, c);
        if (stream->depth <= 1) {
            json_stream_complete(stream);
        } else {
            stream->depth--;
        }
        break;
    case '"':
    case '\'':
        if (stream->depth) {
            stream->quote = c;
            json_stream_append(stream, '"');
            break;
        }
        /* fall through */
    default:
        stream->bare = stream->depth == 0;
        json_stream_append(stream, c);
    }
}

void json_stream_feed(JsonStream *stream, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        json_stream_byte(stream, data[i]);
    }
}
