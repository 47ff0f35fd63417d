/* SPDX-License-Identifier: MIT */
/* What a guest's output does to a terminal, and what undoes it. */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "backends/char/terminal-state.h"

/* What undoes the output, escape characters shown as '^'. */
static char *undo_of(const char *output, size_t step)
{
    TerminalState state = { 0 };
    char text[512] = "";
    size_t size = strlen(output);
    int ends[2];
    ssize_t n;

    for (size_t i = 0; i < size; i += step) {
        terminal_state_track(&state, (const uint8_t *)output + i, MIN(step, size - i));
    }
    g_assert_cmpint(pipe(ends), ==, 0);
    terminal_state_undo(&state, ends[1]);
    terminal_state_undo(&state, ends[1]); /* nothing is left to do */
    close(ends[1]);
    n = read(ends[0], text, sizeof text - 1);
    g_assert_cmpint(n, >=, 0);
    close(ends[0]);
    g_strdelimit(text, "\033", '^');
    return g_strdup(text);
}

static void test_undo(void)
{
    static const struct {
        const char *output, *undo;
    } cases[] = {
        { "plain text\r\n", "" },
        { "\033[31mred", "^[m" },
        { "\033[31mred\033[0m", "" },
        { "\033[1;32mOK\033[m", "" },
        { "\033[?7l", "^[?7h" },
        { "\033[?7l\033[?7h", "" },
        { "\033[2;20r", "^7^[r^8" },
        { "\033[2;20r\033[r", "" },
        { "\033[?1049h\033[?25l\033[1m", "^[?1049l^[m^[?25h" },
        { "\033[?1049h\033[?1049l", "" },
        { "\033[?1;1000;2004h", "^[?1l^[?1000l^[?1002l^[?1003l^[?1006l^[?2004l" },
        { "\033(0lqk", "^(B\017" },
        { "\033(0lqk\033(B", "" },
        { "\033=\033[4h", "^[4l^>" },
        { "\033[31m\033[2;3r\033c", "" },
        { "\033[6n\033[2J\033[H\033]0;title\a\033[18t", "" },
        { "\033[99999999999999999999999999999999999999999999999999m", "^[m" },
        { "\033[\033[31m", "^[m" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (size_t step = 1; step < 5; step++) { /* sequences are cut anywhere */
            g_autofree char *undo = undo_of(cases[i].output, step);

            g_assert_cmpstr(undo, ==, cases[i].undo);
        }
    }
}

static void test_nonsense(void)
{
    GRand *random = g_rand_new_with_seed(7);
    TerminalState state = { 0 };

    for (int i = 0; i < 200000; i++) {
        static const char likely[] = "\033[?;0123456789hlmrp(c";
        uint8_t byte = g_rand_boolean(random) ? likely[g_rand_int_range(random, 0, sizeof likely)]
                                              : g_rand_int_range(random, 0, 256);

        terminal_state_track(&state, &byte, 1);
    }
    g_rand_free(random);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/terminal-state/undo", test_undo);
    g_test_add_func("/terminal-state/nonsense", test_nonsense);
    return g_test_run();
}
