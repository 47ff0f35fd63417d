/* SPDX-License-Identifier: MIT */
/* A line editor for a terminal at the other end of a byte stream; see the header. */
#include "monitor/line-editor.h"

#include <string.h>

#define CONTROL(letter) ((letter)&0x1f)

struct LineEditor {
    const LineEditorHandlers *handlers;
    void *opaque;
    char *prompt;
    GString *line;
    size_t cursor;
    GPtrArray *history; /* char *, oldest first */
    guint history_at;   /* the entry shown; history->len: the line being typed */
    char *typed;        /* the line being typed, while history is shown */
    enum { KEY_PLAIN, KEY_ESCAPE, KEY_CONTROL, KEY_SHIFT3 } state; /* of an escape sequence */
    unsigned parameter, parameter2;                                /* of a control sequence */
    bool after_return;
    char *kill; /* what Ctrl-K, -U or -W removed last */
};

LineEditor *line_editor_new(const char *prompt, const LineEditorHandlers *handlers, void *opaque)
{
    LineEditor *editor = g_new0(LineEditor, 1);

    editor->handlers = handlers;
    editor->opaque = opaque;
    editor->prompt = g_strdup(prompt);
    editor->line = g_string_new(NULL);
    editor->history = g_ptr_array_new_with_free_func(g_free);
    return editor;
}

void line_editor_free(LineEditor *editor)
{
    g_free(editor->prompt);
    g_free(editor->typed);
    g_free(editor->kill);
    g_string_free(editor->line, TRUE);
    g_ptr_array_unref(editor->history);
    g_free(editor);
}

const GPtrArray *line_editor_history(const LineEditor *editor)
{
    return editor->history;
}

static void editor_print(LineEditor *editor, const char *text)
{
    editor->handlers->write(editor->opaque, text, strlen(text));
}

void line_editor_reset(LineEditor *editor)
{
    g_string_truncate(editor->line, 0);
    editor->cursor = 0;
    editor->state = KEY_PLAIN;
    editor->history_at = editor->history->len;
    g_clear_pointer(&editor->typed, g_free);
}

/* Redraws the whole line in place. */
static void editor_refresh(LineEditor *editor)
{
    GString *out = g_string_new("\r");
    size_t behind = g_utf8_strlen(editor->line->str + editor->cursor, -1);

    g_string_append_printf(out, "%s%s\033[K", editor->prompt, editor->line->str);
    if (behind) {
        g_string_append_printf(out, "\033[%zuD", behind);
    }
    editor_print(editor, out->str);
    g_string_free(out, TRUE);
}

void line_editor_show(LineEditor *editor)
{
    editor_print(editor, editor->prompt);
    if (editor->line->len) {
        editor_refresh(editor);
    }
}

/* One character left or right of a position, by UTF-8's rules. */
static size_t editor_previous(const LineEditor *editor, size_t at)
{
    while (at > 0 && ((uint8_t)editor->line->str[--at] & 0xc0) == 0x80) {
    }
    return at;
}

static size_t editor_next(const LineEditor *editor, size_t at)
{
    if (at < editor->line->len) {
        at++;
    }
    while (at < editor->line->len && ((uint8_t)editor->line->str[at] & 0xc0) == 0x80) {
        at++;
    }
    return at;
}

static size_t editor_word_left(const LineEditor *editor)
{
    size_t at = editor->cursor;

    while (at > 0 && g_ascii_isspace(editor->line->str[at - 1])) {
        at--;
    }
    while (at > 0 && !g_ascii_isspace(editor->line->str[at - 1])) {
        at--;
    }
    return at;
}

static size_t editor_word_right(const LineEditor *editor)
{
    size_t at = editor->cursor;

    while (at < editor->line->len && g_ascii_isspace(editor->line->str[at])) {
        at++;
    }
    while (at < editor->line->len && !g_ascii_isspace(editor->line->str[at])) {
        at++;
    }
    return at;
}

static void editor_move(LineEditor *editor, size_t at)
{
    editor->cursor = at;
    editor_refresh(editor);
}

static void editor_remove(LineEditor *editor, size_t from, size_t to, bool keep)
{
    if (from == to) {
        return;
    }
    if (keep) {
        g_free(editor->kill);
        editor->kill = g_strndup(editor->line->str + from, to - from);
    }
    g_string_erase(editor->line, from, to - from);
    editor_move(editor, from);
}

static void editor_insert(LineEditor *editor, const char *text, size_t size)
{
    bool at_end = editor->cursor == editor->line->len;

    size = MIN(size, LINE_EDITOR_LINE_MAX - editor->line->len);
    g_string_insert_len(editor->line, editor->cursor, text, size);
    editor->cursor += size;
    if (at_end) {
        editor->handlers->write(editor->opaque, text, size);
    } else {
        editor_refresh(editor);
    }
}

static void editor_remember(LineEditor *editor, const char *line)
{
    if (!*line ||
        (editor->history->len && !strcmp(editor->history->pdata[editor->history->len - 1], line))) {
        return;
    }
    if (editor->history->len >= LINE_EDITOR_HISTORY_MAX) {
        g_ptr_array_remove_index(editor->history, 0);
    }
    g_ptr_array_add(editor->history, g_strdup(line));
}

static void editor_show_history(LineEditor *editor, guint at)
{
    if (at > editor->history->len) {
        return;
    }
    if (editor->history_at == editor->history->len) {
        g_free(editor->typed);
        editor->typed = g_strdup(editor->line->str);
    }
    editor->history_at = at;
    g_string_assign(editor->line,
                    at == editor->history->len ? editor->typed : editor->history->pdata[at]);
    editor_move(editor, editor->line->len);
}

static void editor_enter(LineEditor *editor)
{
    char *line = g_strdup(editor->line->str);

    editor_print(editor, "\r\n");
    editor_remember(editor, line);
    line_editor_reset(editor);
    editor->handlers->line(editor->opaque, line);
    g_free(line);
}

static gint editor_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t editor_common_length(const GPtrArray *candidates)
{
    const char *first = candidates->pdata[0];
    size_t common = strlen(first);

    for (guint i = 1; i < candidates->len; i++) {
        const char *other = candidates->pdata[i];
        size_t n = 0;

        while (n < common && first[n] == other[n]) {
            n++;
        }
        common = n;
    }
    return common;
}

static void editor_list(LineEditor *editor, const GPtrArray *candidates)
{
    GString *out = g_string_new("\r\n");
    int width = 0, column = 0;

    for (guint i = 0; i < candidates->len; i++) {
        width = MAX(width, (int)strlen(candidates->pdata[i]) + 2);
    }
    for (guint i = 0; i < candidates->len; i++) {
        column += width;
        if (column > 80 && column > width) {
            g_string_append(out, "\r\n");
            column = width;
        }
        g_string_append_printf(out, "%-*s", width, (const char *)candidates->pdata[i]);
    }
    g_string_append(out, "\r\n");
    editor_print(editor, out->str);
    g_string_free(out, TRUE);
    editor_refresh(editor);
}

static void editor_complete(LineEditor *editor)
{
    GPtrArray *candidates = g_ptr_array_new_with_free_func(g_free);
    char *head = g_strndup(editor->line->str, editor->cursor);
    size_t word = editor->handlers->complete
                      ? editor->handlers->complete(editor->opaque, head, candidates)
                      : 0;

    if (candidates->len) {
        size_t common = editor_common_length(candidates);

        g_ptr_array_sort(candidates, editor_compare);
        if (common > word || candidates->len == 1) {
            editor_insert(editor, (char *)candidates->pdata[0] + word, common - word);
            if (candidates->len == 1) {
                editor_insert(editor, " ", 1);
            }
        } else {
            editor_list(editor, candidates);
        }
    }
    g_free(head);
    g_ptr_array_unref(candidates);
}

static void editor_control_key(LineEditor *editor, uint8_t key)
{
    switch (key) {
    case CONTROL('A'):
        editor_move(editor, 0);
        break;
    case CONTROL('B'):
        editor_move(editor, editor_previous(editor, editor->cursor));
        break;
    case CONTROL('C'):
        editor_print(editor, "^C\r\n");
        line_editor_reset(editor);
        line_editor_show(editor);
        break;
    case CONTROL('D'):
        editor_remove(editor, editor->cursor, editor_next(editor, editor->cursor), false);
        break;
    case CONTROL('E'):
        editor_move(editor, editor->line->len);
        break;
    case CONTROL('F'):
        editor_move(editor, editor_next(editor, editor->cursor));
        break;
    case CONTROL('H'):
    case 0x7f:
        editor_remove(editor, editor_previous(editor, editor->cursor), editor->cursor, false);
        break;
    case '\t':
        editor_complete(editor);
        break;
    case CONTROL('K'):
        editor_remove(editor, editor->cursor, editor->line->len, true);
        break;
    case CONTROL('L'):
        editor_print(editor, "\033[H\033[2J");
        editor_refresh(editor);
        break;
    case CONTROL('N'):
        editor_show_history(editor, editor->history_at + 1);
        break;
    case CONTROL('P'):
        editor_show_history(editor, editor->history_at - 1);
        break;
    case CONTROL('U'):
        editor_remove(editor, 0, editor->cursor, true);
        break;
    case CONTROL('W'):
        editor_remove(editor, editor_word_left(editor), editor->cursor, true);
        break;
    case CONTROL('Y'):
        if (editor->kill) {
            editor_insert(editor, editor->kill, strlen(editor->kill));
        }
        break;
    case '\033':
        editor->state = KEY_ESCAPE;
        break;
    }
}

/* The last byte of "ESC [ parameters byte" or "ESC O byte". */
static void editor_sequence(LineEditor *editor, uint8_t final)
{
    bool by_word = editor->parameter2 == 5 || editor->parameter2 == 3; /* with Ctrl or Alt */

    switch (final) {
    case 'A':
        editor_show_history(editor, editor->history_at - 1);
        break;
    case 'B':
        editor_show_history(editor, editor->history_at + 1);
        break;
    case 'C':
        editor_move(editor,
                    by_word ? editor_word_right(editor) : editor_next(editor, editor->cursor));
        break;
    case 'D':
        editor_move(editor,
                    by_word ? editor_word_left(editor) : editor_previous(editor, editor->cursor));
        break;
    case 'F':
        editor_move(editor, editor->line->len);
        break;
    case 'H':
        editor_move(editor, 0);
        break;
    case '~':
        if (editor->parameter == 1 || editor->parameter == 7) {
            editor_move(editor, 0);
        } else if (editor->parameter == 4 || editor->parameter == 8) {
            editor_move(editor, editor->line->len);
        } else if (editor->parameter == 3) {
            editor_remove(editor, editor->cursor, editor_next(editor, editor->cursor), false);
        }
        break;
    }
}

static void editor_escape(LineEditor *editor, uint8_t byte)
{
    if (editor->state == KEY_ESCAPE) {
        editor->parameter = editor->parameter2 = 0;
        editor->state = byte == '['      ? KEY_CONTROL
                        : byte == 'O'    ? KEY_SHIFT3
                        : byte == '\033' ? KEY_ESCAPE
                                         : KEY_PLAIN;
        if (byte == 'b') {
            editor_move(editor, editor_word_left(editor));
        } else if (byte == 'f') {
            editor_move(editor, editor_word_right(editor));
        } else if (byte == 'd') {
            editor_remove(editor, editor->cursor, editor_word_right(editor), true);
        }
    } else if (editor->state == KEY_CONTROL && g_ascii_isdigit(byte)) {
        editor->parameter2 = MIN(editor->parameter2 * 10 + byte - '0', 1000);
    } else if (editor->state == KEY_CONTROL && byte == ';') {
        editor->parameter = editor->parameter2;
        editor->parameter2 = 0;
    } else {
        if (!editor->parameter) {
            editor->parameter = editor->parameter2;
        }
        editor->state = KEY_PLAIN;
        editor_sequence(editor, byte);
    }
}

static void editor_byte(LineEditor *editor, uint8_t byte)
{
    bool after_return = editor->after_return;

    editor->after_return = byte == '\r';
    if (byte == '\n' && after_return) {
        return; /* the second half of a line end */
    }
    if (byte == '\r' || byte == '\n') {
        editor_enter(editor);
    } else if (editor->state != KEY_PLAIN) {
        editor_escape(editor, byte);
    } else if (byte < ' ' || byte == 0x7f) {
        editor_control_key(editor, byte);
    } else {
        char c = byte;

        editor_insert(editor, &c, 1);
    }
}

void line_editor_feed(LineEditor *editor, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        editor_byte(editor, data[i]);
    }
}
