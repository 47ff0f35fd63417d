/* SPDX-License-Identifier: MIT */
/*
 * Cuts a stream of bytes into JSON texts. Values need no separator; strings may also be in single
 * quotes, which come out as double ones. What is no object or array ends with its line. Whatever
 * comes in, memory stays bounded and the next line that starts a value is understood.
 */
#ifndef MONITOR_JSON_STREAM_H
#define MONITOR_JSON_STREAM_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

typedef struct JsonStream JsonStream;

enum { JSON_STREAM_TEXT_MAX = 16 << 20, JSON_STREAM_DEPTH_MAX = 1000 };

/* A whole text, not checked further; text is NULL when it was too long or too deep. */
typedef void JsonStreamHandler(void *opaque, const char *text, size_t size);

JsonStream *json_stream_new(JsonStreamHandler *handler, void *opaque);
void json_stream_free(JsonStream *stream);
void json_stream_reset(JsonStream *stream);
void json_stream_feed(JsonStream *stream, const uint8_t *data, size_t size);

#endif
