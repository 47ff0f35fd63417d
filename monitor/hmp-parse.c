/* SPDX-License-Identifier: MIT */
/* From an HMP line to a command and its arguments; completion. */
#include "monitor/hmp-parse.h"

#include <ctype.h>
#include <string.h>

#include "base/names.h"
#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"
#include "monitor/expression.h"
#include "monitor/typed.h"

static const char *skip_space(const char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    return text;
}

/* Whether text begins with the words of name (to name_end); *rest is what follows. */
static bool words_match(const char *text, const char *name, const char *name_end, const char **rest)
{
    while (name < name_end) {
        if (*name == ' ') {
            if (!isspace((unsigned char)*text)) {
                return false;
            }
            text = skip_space(text);
            name++;
        } else if (*name++ != *text++) {
            return false;
        }
    }
    *rest = text;
    /* "x/4i" and "p/x": a format follows a name at once. */
    return !*text || isspace((unsigned char)*text) || *text == '/';
}

/* Whether one of the alternatives in hmp ("cont|c") stands at the start of text. */
static bool name_matches(const char *hmp, const char *text, const char **rest, size_t *length)
{
    for (const char *name = hmp; *name;) {
        const char *end = strchrnul(name, '|');

        if (words_match(text, name, end, rest)) {
            *length = end - name;
            return true;
        }
        name = *end ? end + 1 : end;
    }
    return false;
}

/* The whole first word, or both when it is "info". */
static char *command_words(const char *text)
{
    size_t n = strcspn(text, " \t");

    if (n == strlen("info") && !strncmp(text, "info", n)) {
        const char *second = skip_space(text + n);

        return g_strdup_printf("info %.*s", (int)strcspn(second, " \t"), second);
    }
    return g_strndup(text, n);
}

/* What to say of words that are no command; caller frees. */
static char *suggest_command(const char *words)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    monitor_complete_commands(NULL, names);
    g_ptr_array_add(names, NULL);
    return names_suggest(words, (const char *const *)names->pdata);
}

const MonitorCommand *hmp_find(const char **text, GError **error)
{
    const MonitorCommand *const *it, *best = NULL;
    const char *rest, *best_rest = NULL;
    size_t length, best_length = 0;
    char *words, *suggestion;

    *text = skip_space(*text);
    REGISTRY_FOREACH(monitor_commands, it) {
        if ((*it)->hmp && name_matches((*it)->hmp, *text, &rest, &length) && length > best_length) {
            best = *it;
            best_rest = rest;
            best_length = length;
        }
    }
    /* "info" alone takes no argument: what follows it is a name that we do not know. */
    if (best && (strcmp(best->hmp, "info") || !*skip_space(best_rest))) {
        *text = best_rest;
        return best;
    }
    words = command_words(*text);
    suggestion = suggest_command(words);
    error_fail(error, KASO_ERROR_NOT_FOUND, "unknown command: '%s'%s", words,
               *suggestion ? suggestion : " ('help' lists them)");
    g_free(suggestion);
    g_free(words);
    return NULL;
}

/* A word, or text in double quotes with backslash escapes; *text moves behind it. */
static char *take_word(const char **text, GError **error)
{
    GString *word = g_string_new(NULL);
    const char *c = *text;

    if (*c != '"') {
        while (*c && !isspace((unsigned char)*c)) {
            g_string_append_c(word, *c++);
        }
    } else {
        for (c++; *c && *c != '"'; c++) {
            if (*c == '\\' && c[1]) {
                c++;
                g_string_append_c(word, *c == 'n'   ? '\n'
                                        : *c == 'r' ? '\r'
                                        : *c == 't' ? '\t'
                                                    : *c);
            } else {
                g_string_append_c(word, *c);
            }
        }
        if (*c != '"') {
            error_fail(error, KASO_ERROR_INVALID, "a closing '\"' is missing");
            g_string_free(word, TRUE);
            return NULL;
        }
        c++;
    }
    *text = c;
    return g_string_free(word, FALSE);
}

static json_t *parse_bool(const char **text, const MonitorArgument *argument, GError **error)
{
    char *word = take_word(text, error);
    bool on = word && !strcmp(word, "on"), off = word && !strcmp(word, "off");

    if (word && !on && !off) {
        error_fail(error, KASO_ERROR_INVALID, "'%s' must be on or off, not '%s'", argument->name,
                   word);
    }
    g_free(word);
    return on || off ? json_boolean(on) : NULL;
}

static json_t *parse_size(const char **text, const MonitorArgument *argument, GError **error)
{
    static const char suffixes[] = "bkmgtpe";
    const char *start = *text, *suffix;
    char *end;
    guint64 value = g_ascii_strtoull(start, &end, 0);
    unsigned shift = 0;

    if (*end && (suffix = strchr(suffixes, tolower((unsigned char)*end)))) {
        shift = 10 * (suffix - suffixes);
        end++;
    }
    if (end == start || (*end && !isspace((unsigned char)*end)) ||
        value > (UINT64_MAX >> 1) >> shift) {
        error_fail(error, KASO_ERROR_INVALID, "'%s' is not a size: '%s'", argument->name, start);
        return NULL;
    }
    *text = end;
    return json_integer(value << shift);
}

/* With C types where the text has any, as print takes it; else an expression of numbers. */
static json_t *parse_int(Monitor *monitor, const char **text, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    Vcpu *vcpu = monitor_vcpu(monitor, NULL);
    g_autoptr(GError) failure = NULL, typed_failure = NULL;
    const char *start = *text;
    uint64_t typed_number;
    int64_t number;
    bool ok = false;

    machine_exclusive_begin(machine);
    if (vcpu && typed_is_typed(vcpu, start)) {
        symbols_refresh(machine);
        vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
        ok = typed_evaluate_number(vcpu, text, &typed_number, &typed_failure);
    }
    machine_exclusive_end(machine);
    if (ok) {
        return json_integer((json_int_t)typed_number);
    }
    if (expression_evaluate(text, vcpu, &number, &failure)) {
        return json_integer(number);
    }
    g_propagate_error(error,
                      typed_failure ? g_steal_pointer(&typed_failure) : g_steal_pointer(&failure));
    return NULL;
}

static json_t *parse_one(Monitor *monitor, const MonitorArgument *argument, const char **text,
                         GError **error)
{
    json_t *value;
    char *word;

    switch (argument->kind) {
    case ARGUMENT_INT:
        return parse_int(monitor, text, error);
    case ARGUMENT_SIZE:
        return parse_size(text, argument, error);
    case ARGUMENT_BOOL:
        return parse_bool(text, argument, error);
    case ARGUMENT_REST:
        value = monitor_string(*text);
        *text += strlen(*text);
        return value;
    default:
        word = take_word(text, error);
        value =
            word && argument->kind == ARGUMENT_ANY ? json_loads(word, JSON_DECODE_ANY, NULL) : NULL;
        value = word && !value ? monitor_string(word) : value;
        g_free(word);
        return value;
    }
}

/* Whether HMP takes the argument by its letter, not by its place. */
static bool is_lettered(const MonitorArgument *argument)
{
    return argument->kind == ARGUMENT_FLAG ||
           ((argument->kind == ARGUMENT_STRING || argument->kind == ARGUMENT_INT) &&
            argument->letter);
}

static bool take_flag(const MonitorArgument *argument, const char **text, json_t *arguments,
                      GError **error)
{
    g_autofree char *word = NULL;

    *text += 2;
    if (argument->kind == ARGUMENT_FLAG) {
        monitor_put(arguments, argument->name, json_true());
        return true;
    }
    *text = skip_space(*text);
    word = take_word(text, error);
    if (word && !*word) {
        return error_fail(error, KASO_ERROR_INVALID, "'-%c' needs a value: %s", argument->letter,
                          argument->name);
    }
    if (word && argument->kind == ARGUMENT_INT) {
        char *end;
        int64_t number = g_ascii_strtoll(word, &end, 0);

        monitor_put(arguments, argument->name, json_integer(number));
        return end != word && !*end ? true
                                    : error_fail(error, KASO_ERROR_INVALID, "'-%c %s' is no number",
                                                 argument->letter, word);
    }
    if (word) {
        monitor_put(arguments, argument->name, monitor_string(word));
    }
    return word;
}

/* Flags may stand anywhere before the last argument: takes those at *text. */
static bool take_flags(const MonitorCommand *command, const char **text, json_t *arguments,
                       GError **error)
{
    bool found = true;

    while (found) {
        found = false;
        *text = skip_space(*text);
        for (const MonitorArgument *a = command->arguments; a && a->name; a++) {
            if (is_lettered(a) && (*text)[0] == '-' && (*text)[1] == a->letter &&
                (!(*text)[2] || isspace((unsigned char)(*text)[2]))) {
                if (!take_flag(a, text, arguments, error)) {
                    return false;
                }
                found = true;
            }
        }
    }
    return true;
}

static bool parse_all(Monitor *monitor, const MonitorCommand *command, const char *text,
                      json_t *arguments, GError **error)
{
    for (const MonitorArgument *a = command->arguments; a && a->name; a++) {
        json_t *value;

        if (!take_flags(command, &text, arguments, error)) {
            return false;
        }
        if (is_lettered(a) || a->kind == ARGUMENT_OBJECT || a->qmp) {
            continue;
        }
        if (a->kind == ARGUMENT_FORMAT) {
            if (*text == '/') {
                size_t n = strcspn(++text, " \t");
                char *format = g_strndup(text, n);

                monitor_put(arguments, a->name, monitor_string(format));
                g_free(format);
                text += n;
            }
            continue;
        }
        if (!*text) {
            continue; /* the check against the schema knows whether it is needed */
        }
        value = parse_one(monitor, a, &text, error);
        if (!value) {
            return false;
        }
        monitor_put(arguments, a->name, value);
    }
    if (!take_flags(command, &text, arguments, error)) {
        return false;
    }
    if (*text) {
        return error_fail(error, KASO_ERROR_INVALID, "'%s' is too much for this command: %s", text,
                          command->hmp);
    }
    return true;
}

json_t *hmp_parse_arguments(Monitor *monitor, const MonitorCommand *command, const char *text,
                            GError **error)
{
    json_t *arguments = json_object();

    if (!parse_all(monitor, command, text, arguments, error)) {
        json_decref(arguments);
        return NULL;
    }
    return arguments;
}

char *hmp_usage(const MonitorCommand *command)
{
    GString *usage = g_string_new(NULL);

    for (const MonitorArgument *a = command->arguments; a && a->name; a++) {
        const char *left = a->optional ? "[" : "", *right = a->optional ? "]" : "";

        if (a->kind == ARGUMENT_OBJECT || a->qmp) {
            continue;
        }
        g_string_append_c(usage, ' ');
        if (a->kind == ARGUMENT_FLAG) {
            g_string_append_printf(usage, "[-%c]", a->letter);
        } else if (is_lettered(a)) {
            g_string_append_printf(usage, "[-%c %s]", a->letter, a->name);
        } else if (a->kind == ARGUMENT_FORMAT) {
            g_string_append_printf(usage, "[/%s]", a->name);
        } else if (a->kind == ARGUMENT_BOOL) {
            g_string_append_printf(usage, "%son|off%s", left, right);
        } else {
            g_string_append_printf(usage, "%s%s%s", left, a->name, right);
        }
    }
    return g_string_free(usage, FALSE);
}

/* Adds what may follow `line` as a command's name. */
static void complete_names(const char *line, GPtrArray *candidates)
{
    const MonitorCommand *const *it;
    const char *last = strrchr(line, ' ');
    size_t head = last ? last + 1 - line : 0; /* words that are complete */

    REGISTRY_FOREACH(monitor_commands, it) {
        char **names = g_strsplit((*it)->hmp ? (*it)->hmp : "", "|", -1);

        for (char **name = names; *name; name++) {
            if (g_str_has_prefix(*name, line)) {
                const char *word = *name + head;
                char *one = g_strndup(word, strcspn(word, " "));

                if (*one && !g_ptr_array_find_with_equal_func(candidates, one, g_str_equal, NULL)) {
                    g_ptr_array_add(candidates, one);
                } else {
                    g_free(one);
                }
            }
        }
        g_strfreev(names);
    }
}

/* The argument that the last word of text stands for; flags and formats are not counted. */
static const MonitorArgument *argument_at(const MonitorCommand *command, const char *text)
{
    unsigned words = 0;

    for (text = skip_space(text); *text; text = skip_space(text)) {
        size_t n = strcspn(text, " \t");

        if (!text[n]) {
            break;
        }
        words += *text != '-' && *text != '/';
        text += n;
    }
    for (const MonitorArgument *a = command->arguments; a && a->name; a++) {
        if (!is_lettered(a) && a->kind != ARGUMENT_FORMAT && !a->qmp && words-- == 0) {
            return a;
        }
    }
    return NULL;
}

static void keep_prefixed(GPtrArray *candidates, const char *prefix)
{
    for (guint i = candidates->len; i-- > 0;) {
        if (!g_str_has_prefix(candidates->pdata[i], prefix)) {
            g_ptr_array_remove_index(candidates, i);
        }
    }
}

size_t hmp_complete(Machine *machine, const char *line, GPtrArray *candidates)
{
    const MonitorCommand *command;
    const MonitorArgument *argument;
    const char *rest = line, *word;

    line = skip_space(line);
    word = strrchr(line, ' ') ? strrchr(line, ' ') + 1 : line;
    complete_names(line, candidates);
    command = candidates->len ? NULL : hmp_find(&rest, NULL);
    if (command && *rest) {
        argument = argument_at(command, rest);
        if (argument && argument->complete) {
            argument->complete(machine, candidates);
            keep_prefixed(candidates, word);
        }
    }
    return strlen(word);
}
