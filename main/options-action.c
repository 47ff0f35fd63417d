/* SPDX-License-Identifier: MIT */
/* -action: what events of the guest, its ends and its console output do. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/names.h"
#include "machine/console.h"
#include "machine/watchdog.h"
#include "main/handlers.h"

/* The index of a word, or -1 with an error. */
static int choose(const char *what, const char *word, const char *const *words, GError **error)
{
    g_autofree char *list = NULL;

    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], word) == 0) {
            return i;
        }
    }
    list = g_strjoinv(", ", (char **)words);
    error_fail(error, KASO_ERROR_INVALID, "'%s' is no action for %s; give one of %s", word, what,
               list);
    return -1;
}

static bool set_reboot(Setup *setup, const char *value, GError **error)
{
    static const char *const words[] = { "reset", "shutdown", NULL };
    int choice = choose("reboot", value, words, error);

    setup->config.no_reboot = choice == 1;
    return choice >= 0;
}

static bool set_shutdown(Setup *setup, const char *value, GError **error)
{
    static const char *const words[] = { "poweroff", "pause", NULL };
    int choice = choose("shutdown", value, words, error);

    setup->config.no_shutdown = choice == 1;
    return choice >= 0;
}

static bool set_panic(Setup *setup, const char *value, GError **error)
{
    static const char *const words[] = { "shutdown", "pause", "none", "exit-failure", NULL };
    int choice = choose("panic", value, words, error);

    setup->config.panic_action = MAX(choice, 0);
    return choice >= 0;
}

static bool set_watchdog(Setup *setup, const char *value, GError **error)
{
    int choice = choose("watchdog", value, watchdog_actions, error);

    setup->config.watchdog_action = MAX(choice, 0);
    return choice >= 0;
}

bool option_watchdog_action(Setup *setup, const char *argument, GError **error)
{
    return set_watchdog(setup, argument, error);
}

static bool set_exit_statuses(Setup *setup, const char *value, GError **error)
{
    static const char *const words[] = { "plain", "distinct", NULL };
    int choice = choose("exit-status", value, words, error);

    setup->config.exit_distinct = choice == 1;
    return choice >= 0;
}

static bool parse_status(const char *key, const char *text, uint8_t *status, GError **error)
{
    char *end;
    unsigned long value = strtoul(text, &end, 0);

    *status = value;
    return (g_ascii_isdigit(text[0]) && *end == '\0' && value <= 255) ||
           error_fail(error, KASO_ERROR_INVALID, "%s=%s: an exit status is a number from 0 to 255",
                      key, text);
}

/* exit-status.END=N */
static bool set_exit_status(Setup *setup, const KeyValue *pair, GError **error)
{
    static const struct {
        const char *key;
        StopReason reason;
    } ends[] = {
        { "exit-status.poweroff", STOP_GUEST_POWEROFF }, { "exit-status.reset", STOP_GUEST_RESET },
        { "exit-status.panic", STOP_GUEST_PANIC },       { "exit-status.error", STOP_ERROR },
        { "exit-status.quit", STOP_USER_QUIT },          { "exit-status.signal", STOP_SIGNAL },
    };
    const char *names[G_N_ELEMENTS(ends) + 1] = { NULL };
    g_autofree char *suggestion = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        ExitStatus *status = &setup->config.exit_status[ends[i].reason];

        names[i] = ends[i].key;
        if (strcmp(pair->key, ends[i].key) == 0) {
            status->set = parse_status(pair->key, pair->value, &status->status, error);
            return status->set;
        }
    }
    suggestion = names_suggest(pair->key, names);
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "there is no '%s'%s (ends are poweroff, reset, panic, error, quit, signal)",
                      pair->key, suggestion);
}

static bool set_silence(Setup *setup, const char *value, GError **error)
{
    char *end;
    unsigned long seconds = strtoul(value, &end, 10);
    bool on;

    if (g_ascii_isdigit(value[0]) && *end == '\0' && seconds && seconds <= 86400) {
        setup->silence_s = seconds;
        return true;
    }
    if (!parse_switch("silence", value, &on, NULL) || on) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "silence=%s: give the seconds of waiting for a first console output, or "
                          "off",
                          value);
    }
    setup->silence_s = 0;
    return true;
}

/* console-match=REGEX with what to do and, if it is not any console's, chardev=ID. */
static bool set_console_match(Setup *setup, const KeyValues *list, GError **error)
{
    enum { MOST = 64 };
    static const char *const names[] = { "console-match", "exit",      "stop",    "log",
                                         "reset",         "powerdown", "chardev", NULL };
    static const char *const flags[] = { "stop", "log", "reset", "powerdown" };
    static const ConsoleMatchAction actions[] = { CONSOLE_MATCH_STOP, CONSOLE_MATCH_LOG,
                                                  CONSOLE_MATCH_RESET, CONSOLE_MATCH_POWERDOWN };
    const char *status = key_values_get(list, "exit");
    GPtrArray **matches = &setup->config.console_matches;
    unsigned chosen = status != NULL;
    ConsoleMatch *match;

    if (!key_values_check(list, names, "-action console-match", error)) {
        return false;
    }
    if (!*key_values_get(list, "console-match")) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "console-match= needs a regular expression; '.' is any text");
    }
    match = console_match_new(key_values_get(list, "console-match"), error);
    if (!match) {
        return false;
    }
    if (!*matches) {
        *matches = g_ptr_array_new_with_free_func((GDestroyNotify)console_match_free);
    }
    g_ptr_array_add(*matches, match);
    match->chardev = g_strdup(key_values_get(list, "chardev"));
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        const char *text = key_values_get(list, flags[i]);
        bool on = false;

        if (text && !parse_switch(flags[i], text, &on, error)) {
            return false;
        }
        chosen += on;
        match->action = on ? actions[i] : match->action;
    }
    if (chosen > 1 || (*matches)->len > MOST) {
        return error_fail(error, KASO_ERROR_INVALID,
                          chosen > 1 ? "give one of exit=N, stop, log, reset, powerdown"
                                     : "there are at most 64 console matches");
    }
    return !status || g_ascii_strcasecmp(status, "on") == 0 ||
           parse_status("exit", status, &match->exit_status, error);
}

bool option_action(Setup *setup, const char *argument, GError **error)
{
    static const struct {
        const char *name;
        bool (*set)(Setup *setup, const char *value, GError **error);
    } actions[] = {
        { "reboot", set_reboot },   { "shutdown", set_shutdown },
        { "panic", set_panic },     { "watchdog", set_watchdog },
        { "silence", set_silence }, { "exit-status", set_exit_statuses },
    };
    const char *names[G_N_ELEMENTS(actions) + 2] = { NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, NULL, error);

    if (!list) {
        return false;
    }
    if (key_values_get(list, "console-match")) {
        return set_console_match(setup, list, error);
    }
    for (unsigned i = 0; i < list->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);
        g_autofree char *suggestion = NULL;
        size_t n = 0;

        if (!key_values_counts(list, i)) {
            continue;
        }
        if (g_str_has_prefix(pair->key, "exit-status.")) {
            if (!set_exit_status(setup, pair, error)) {
                return false;
            }
            continue;
        }
        while (n < G_N_ELEMENTS(actions) && strcmp(actions[n].name, pair->key) != 0) {
            names[n] = actions[n].name;
            n++;
        }
        if (n == G_N_ELEMENTS(actions)) {
            names[n] = "console-match";
            suggestion = names_suggest(pair->key, names);
            return error_fail(error, KASO_ERROR_NOT_FOUND, "-action has no option '%s'%s",
                              pair->key, suggestion);
        }
        if (!actions[n].set(setup, pair->value, error)) {
            return false;
        }
    }
    return true;
}
