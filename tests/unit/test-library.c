/* SPDX-License-Identifier: MIT */
/* Libraries that are loaded when they are wanted. */
#include <math.h>

#include "base/error.h"
#include "base/library.h"

#define THERE(F)     F(cos) F(sin)
#define NOT_THERE(F) F(cos) F(lround_of_nobody)

static struct {
    THERE(LIBRARY_MEMBER)
} numbers;

LIBRARY_FILLS(numbers, THERE, "libnobody.so.9 libm.so.6", "libc6");

static struct {
    THERE(LIBRARY_MEMBER)
} nothing;

LIBRARY_FILLS(nothing, THERE, "libnobody.so.8 libnobody.so.9", "libnobody9");

double lround_of_nobody(double value);

static struct {
    NOT_THERE(LIBRARY_MEMBER)
} older;

LIBRARY_FILLS(older, NOT_THERE, "libm.so.6", "libc6");

static void expect_refusal(const LazyLibrary *library, const char *words)
{
    /* It is said each time. */
    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(library_want(library, &error));
        g_assert_nonnull(strstr(error->message, words));
        g_assert_false(library_is_loaded(library));
    }
}

static void test_first_that_there_is(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_null((void *)numbers.cos);
    g_assert_true(library_want(&numbers_library, &error));
    g_assert_no_error(error);
    g_assert_cmpfloat(numbers.cos(0), ==, 1);
    g_assert_true(library_want(&numbers_library, &error));
}

static void test_refusals(void)
{
    expect_refusal(&nothing_library, "libnobody.so.9 cannot be loaded");
    expect_refusal(&nothing_library, "install Debian's libnobody9");
    expect_refusal(&older_library, "libm.so.6 has no lround_of_nobody: it is too old");
}

static void test_all(void)
{
    numbers.sin = NULL;
    library_want_all();
    g_assert_true(library_is_loaded(&numbers_library));
    g_assert_false(library_is_loaded(&nothing_library));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/library/first", test_first_that_there_is);
    g_test_add_func("/library/refusals", test_refusals);
    g_test_add_func("/library/all", test_all);
    return g_test_run();
}
