/* SPDX-License-Identifier: MIT */
/* The terminal of text consoles: what is written, and what then is in the cells. */
#include <string.h>

#include "machine/display.h"
#include "ui/text/terminal.h"

static GString *answers;

static void answer(void *opaque, const char *text)
{
    g_string_append(answers, text);
}

/* A row's text without blanks at its end. */
static char *text_of(const Terminal *terminal, unsigned row)
{
    const TextCell *cells = terminal_row(terminal, row);
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < terminal->columns; i++) {
        if (cells[i].character || i == 0 || !g_unichar_iswide(cells[i - 1].character)) {
            g_string_append_unichar(text, cells[i].character ? cells[i].character : ' ');
        }
    }
    return g_strchomp(g_string_free(text, FALSE));
}

/* Rows that differ from "" are given, the first first. */
static void assert_rows(const Terminal *terminal, const char *const *rows)
{
    for (unsigned row = 0; row < terminal->rows; row++) {
        g_autofree char *text = text_of(terminal, row);

        g_assert_cmpstr(text, ==, *rows ? *rows : "");
        rows += *rows != NULL;
    }
}
#define ROWS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static Terminal *written(const char *text)
{
    Terminal *terminal = terminal_new(10, 4, answer, NULL);

    g_string_truncate(answers, 0);
    terminal_write(terminal, (const uint8_t *)text, strlen(text));
    return terminal;
}

static void test_text(void)
{
    static const struct {
        const char *text;
        const char *rows[5];
    } cases[] = {
        { "one\r\ntwo\rT", { "one", "Two" } },
        { "0123456789abc", { "0123456789", "abc" } },
        { "0123456789\r\nx", { "0123456789", "x" } },
        { "1\n2\n3\n4\n5", { " 2", "  3", "   4", "    5" } },
        { "\033[2;3Hx\033[Ay\033[Bz", { "   y", "  x z" } },
        { "abcdef\033[4G\033[K", { "abc" } },
        { "abcdef\033[3G\033[1K", { "   def" } },
        { "abcdef\033[3G\033[2P", { "abef" } },
        { "abcdef\033[3G\033[2@", { "ab  cdef" } },
        { "abcdef\033[3G\033[2X", { "ab  ef" } },
        { "a\r\nb\r\nc\033[2;1H\033[L", { "a", "", "b", "c" } },
        { "a\r\nb\r\nc\033[2;1H\033[M", { "a", "c" } },
        { "a\r\nb\r\nc\033[2J\033[Hx", { "x" } },
        { "a\r\nb\r\nc\r\nd\033[2;3r\033[3;1H\n", { "a", "c", "", "d" } },
        { "a\r\nb\033[H\033M", { "", "a", "b" } },
        { "\033(0lqk\033(Bq", { "\u250c\u2500\u2510q" } },
        { "\016\033)0x\017x", { "\u2502x" } },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", { "\u00e9\u20ac\U0001f600z" } },
        { "\xc3z\xffz\xe2\x82", { "\ufffdz\ufffdz" } },
        { "\xe6\xbc\xa2\xe5\xad\x97", { "\u6f22\u5b57" } },
        { "12345678\xe6\xbc\xa2\xe6\xbc\xa2", { "12345678\u6f22", "\u6f22" } },
        { "a\033[3b", { "aaaa" } },
        { "\ta\033[Zb", { "        b" } },
        { "abc\0337\033[4;4Hx\0338d", { "abcd", "", "", "   x" } },
        { "main\033[?1049hother\033[?1049l!", { "main!" } },
        { "a\033]0;title\007b\033]0;t\033\\c", { "abc" } },
        { "\033[?7l0123456789abc", { "012345678c" } },
        { "\033[4h321\033[G0", { "0321" } },
        { "\033[20h1\n2", { "1", "2" } },
        { "\033[99999;99999Hx", { "", "", "", "         x" } },
        { "\033[2;3r\033[?6h\033[Hx\033[9;1Hy", { "", "x", "y" } },
        { "a\033[1\030b\033[c", { "ab" } },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Terminal *terminal = written(cases[i].text);

        assert_rows(terminal, cases[i].rows);
        terminal_free(terminal);
    }
}

static void test_colours(void)
{
    Terminal *terminal =
        written("a\033[1;31;44mb\033[7mc\033[0;38;5;200md\033[48;2;255;0;0me\033[95mf\033[mg");
    const TextCell *cells = terminal_row(terminal, 0);

    g_assert_cmpuint(cells[0].foreground, ==, 7);
    g_assert_cmpuint(cells[1].foreground, ==, 1);
    g_assert_cmpuint(cells[1].background, ==, 4);
    g_assert_cmpuint(cells[1].style, ==, TEXT_BOLD);
    g_assert_cmpuint(cells[2].style, ==, TEXT_BOLD | TEXT_INVERSE);
    g_assert_cmpuint(cells[3].foreground, ==, 200);
    g_assert_cmpuint(cells[4].background, ==, 196);
    g_assert_cmpuint(cells[5].foreground, ==, 13);
    g_assert_cmpuint(cells[6].foreground, ==, 7);
    g_assert_cmpuint(cells[6].background, ==, 0);
    terminal_free(terminal);
}

static void test_history(void)
{
    Terminal *terminal = written("1\r\n2\r\n3\r\n4\r\n5\r\n6");

    assert_rows(terminal, ROWS("3", "4", "5", "6"));
    terminal_scroll_view(terminal, 1);
    assert_rows(terminal, ROWS("2", "3", "4", "5"));
    g_assert_false(terminal_cursor_shown(terminal));
    /* What comes does not move what one looks at. */
    terminal_write(terminal, (const uint8_t *)"\r\n7", 3);
    assert_rows(terminal, ROWS("2", "3", "4", "5"));
    terminal_scroll_view(terminal, 99);
    assert_rows(terminal, ROWS("1", "2", "3", "4"));
    terminal_scroll_view(terminal, -99);
    assert_rows(terminal, ROWS("4", "5", "6", "7"));
    for (unsigned i = 0; i < 3 * TERMINAL_HISTORY; i++) {
        terminal_write(terminal, (const uint8_t *)"\r\nx", 3);
    }
    terminal_scroll_view(terminal, 3 * TERMINAL_HISTORY);
    g_assert_cmpuint(terminal->scrolled, ==, TERMINAL_HISTORY);
    assert_rows(terminal, ROWS("x", "x", "x", "x"));
    terminal_free(terminal);
}

static void test_answers_and_keys(void)
{
    Terminal *terminal = written("ab\033[6n\033[5n\033[c");
    char bytes[8];

    g_assert_cmpstr(answers->str, ==, "\033[1;3R\033[0n\033[?1;2c");
    g_assert_cmpuint(terminal_key(terminal, DISPLAY_KEY_UP, bytes), ==, 3);
    g_assert_cmpmem(bytes, 3, "\033[A", 3);
    terminal_write(terminal, (const uint8_t *)"\033[?1h", 5);
    terminal_key(terminal, DISPLAY_KEY_LEFT, bytes);
    g_assert_cmpmem(bytes, 3, "\033OD", 3);
    g_assert_cmpuint(terminal_key(terminal, 0x20ac, bytes), ==, 3);
    g_assert_cmpmem(bytes, 3, "\u20ac", 3);
    g_assert_cmpuint(terminal_key(terminal, DISPLAY_KEY_F12, bytes), ==, 5);
    terminal_free(terminal);
}

/* Anything may be written: it stays within its cells. */
static void test_noise(void)
{
    static const char letters[] = "\033[[[;?0123456789hlmrHJKLMPSTX@ABCDabc\r\n\t\b(0)7 8";
    GRand *rand = g_rand_new_with_seed(5);
    Terminal *terminal = written("");

    for (unsigned i = 0; i < 300000; i++) {
        uint8_t byte = g_rand_int_range(rand, 0, 4)
                           ? (uint8_t)letters[g_rand_int_range(rand, 0, sizeof(letters) - 1)]
                           : (uint8_t)g_rand_int(rand);

        terminal_write(terminal, &byte, 1);
        g_assert_cmpuint(terminal->cursor.row, <, terminal->rows);
        g_assert_cmpuint(terminal->cursor.column, <, terminal->columns);
        if (i % 1000 == 0) {
            terminal_scroll_view(terminal, g_rand_int_range(rand, -50, 50));
            g_assert_nonnull(terminal_row(terminal, terminal->rows - 1));
        }
    }
    g_rand_free(rand);
    terminal_free(terminal);
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    answers = g_string_new(NULL);
    g_test_add_func("/terminal/text", test_text);
    g_test_add_func("/terminal/colours", test_colours);
    g_test_add_func("/terminal/history", test_history);
    g_test_add_func("/terminal/answers-and-keys", test_answers_and_keys);
    g_test_add_func("/terminal/noise", test_noise);
    result = g_test_run();
    g_string_free(answers, TRUE);
    return result;
}
