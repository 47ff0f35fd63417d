/* SPDX-License-Identifier: MIT */
/* What goes with the saved state of a machine, and what keeps one from being saved. */
#include <glib.h>
#include <string.h>

#include "base/error.h"
#include "machine/saved-state.h"
#include "machine/semihosting.h"
#include "tests/unit/counting-machine.h"

/* The files that a bare program has open are no state of its machine. */
static void test_semihosting_saved(void)
{
    Machine *machine = counting_machine(0), *other = counting_machine(0);
    g_autoptr(GByteArray) state = NULL;
    GError *error = NULL;
    Semihosting *host;
    char bytes[8];

    g_assert_true(semihosting_enable(machine, false, NULL, NULL, &error));
    host = semihosting_of(machine);
    g_assert_true(machine_may_save(machine, &error));
    g_assert_cmpint(semihosting_open(host, "/dev/null", 0), ==, 1);
    g_assert_cmpint(semihosting_open(host, ":semihosting-features", 0), ==, 2);
    g_assert_cmpint(semihosting_seek(host, 2, 3), ==, 0);
    g_assert_false(machine_may_save(machine, &error));
    g_assert_nonnull(strstr(error->message, "a file of the host by semihosting (handle 1)"));
    g_clear_error(&error);
    g_assert_cmpint(semihosting_close(host, 1), ==, 0);
    g_assert_true(machine_may_save(machine, &error));
    state = machine_save_state(machine);
    /* The console and the features go with it, and files that are open where it is loaded are closed. */
    g_assert_cmpint(semihosting_open(host, "/dev/null", 0), ==, 1);
    g_assert_true(machine_load_state(machine, state->data, state->len, &error));
    g_assert_cmpint(semihosting_length(host, 1), ==, -1);
    g_assert_cmpint(semihosting_read(host, 2, bytes, sizeof bytes), ==, 2);
    g_assert_cmpmem(bytes, 2, "B\3", 2);
    g_assert_false(machine_load_state(other, state->data, state->len, &error));
    g_assert_nonnull(strstr(error->message, "of a machine with semihosting"));
    g_clear_error(&error);
    machine_free(machine);
    machine_free(other);
}

static bool bound;

static bool is_bound(const Machine *machine)
{
    return bound;
}

/* What only one accelerator can take is refused by others before anything changes; without it they take the machine. */
static void test_bound(void)
{
    Machine *machine = counting_machine(1), *other = counting_machine(1);
    Accelerator another = counting_accelerator;
    GError *error = NULL;

    another.name = "another";
    machine_save_bound(machine, "a thing of its own", is_bound);
    for (unsigned i = 0; i < 4; i++) {
        g_autoptr(GByteArray) state = NULL;
        bool taken = i != 3;

        bound = i & 1;
        other->accelerator = i & 2 ? &another : &counting_accelerator;
        state = machine_save_state(machine);
        g_assert_cmpint(machine_state_fits(other, state->data, state->len, &error), ==, taken);
        if (!taken) {
            g_assert_nonnull(strstr(error->message, "a thing of its own"));
            g_assert_nonnull(strstr(error->message, "load it with -accel counting"));
            g_clear_error(&error);
        }
        g_assert_cmpint(machine_load_state(other, state->data, state->len, NULL), ==, taken);
    }
    other->accelerator = &counting_accelerator;
    machine_free(machine);
    machine_free(other);
}

/* Differences of times, and times some periods later, are times, whatever somebody wrote into a state. */
static void test_times(void)
{
    static const int64_t values[] = { 0, -5, INT64_C(1) << 60, INT64_MAX, INT64_MIN };
    struct Times {
        int64_t at_ns[G_N_ELEMENTS(values)], other[G_N_ELEMENTS(values)];
    } times, loaded = { 0 };
    const StateField table[] = { STATE(struct Times, at_ns), STATE(struct Times, other), { 0 } };
    g_autoptr(GByteArray) state = g_byte_array_new();
    GError *error = NULL;

    memcpy(times.at_ns, values, sizeof values);
    memcpy(times.other, values, sizeof values);
    state_save(table, &times, state);
    g_assert_true(state_load(table, &loaded, "times", 0, state->data, state->len, &error));
    g_assert_cmpmem(loaded.other, sizeof values, values, sizeof values);
    g_assert_cmpmem(loaded.at_ns, 3 * sizeof(int64_t), values, 3 * sizeof(int64_t));
    for (unsigned i = 3; i < G_N_ELEMENTS(values); i++) {
        g_assert_true((loaded.at_ns[i] < 0) == (values[i] < 0));
        g_assert_cmpint(ABS(loaded.at_ns[i]), >, values[2]);
        g_assert_cmpint(ABS(loaded.at_ns[i]), <=, INT64_MAX / 2);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/saved-state/semihosting", test_semihosting_saved);
    g_test_add_func("/saved-state/bound", test_bound);
    g_test_add_func("/saved-state/times", test_times);
    return g_test_run();
}
