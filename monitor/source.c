/* SPDX-License-Identifier: MIT */
/* The text of source files; see the header. */
#include "monitor/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "monitor/command.h"

#define ATTACHED "monitor/source.h"
enum { SOURCE_BYTES_MAX = 16 << 20, SOURCE_COLUMNS_MAX = 400 };

typedef struct {
    char *from, *to;
} Substitution;

static void free_substitution(gpointer opaque)
{
    Substitution *substitution = opaque;

    g_free(substitution->from);
    g_free(substitution->to);
    g_free(substitution);
}

static void free_all(void *opaque)
{
    g_ptr_array_unref(opaque);
}

/* Substitution *, in the order they were made. */
static GPtrArray *substitutions(Machine *machine)
{
    GPtrArray *all = machine_attached(machine, ATTACHED);

    if (!all) {
        all = g_ptr_array_new_with_free_func(free_substitution);
        machine_attach(machine, ATTACHED, all, free_all);
    }
    return all;
}

void source_substitute(Machine *machine, const char *from, const char *to)
{
    GPtrArray *all = substitutions(machine);
    Substitution *made;
    size_t n = strlen(from);

    while (n > 1 && from[n - 1] == '/') {
        n--;
    }
    for (guint i = all->len; i-- > 0;) {
        Substitution *old = all->pdata[i];

        if (strlen(old->from) == n && !strncmp(old->from, from, n)) {
            g_ptr_array_remove_index(all, i);
        }
    }
    if (to) {
        made = g_new0(Substitution, 1);
        made->from = g_strndup(from, n);
        made->to = g_strdup(to);
        g_ptr_array_add(all, made);
    }
}

json_t *source_substitutions(Machine *machine)
{
    GPtrArray *all = substitutions(machine);
    json_t *list = json_array();

    for (guint i = 0; i < all->len; i++) {
        const Substitution *one = all->pdata[i];
        json_t *object = json_object();

        monitor_put(object, "from", monitor_string(one->from));
        monitor_put(object, "to", monitor_string(one->to));
        json_array_append_new(list, object);
    }
    return list;
}

char *source_path(Machine *machine, const SourceLine *line)
{
    GPtrArray *all = substitutions(machine);
    g_autofree char *whole = *line->source == '/'
                                 ? g_strdup(line->source)
                                 : g_build_filename(line->folder, line->source, NULL);

    for (guint i = all->len; i-- > 0;) {
        const Substitution *one = all->pdata[i];
        size_t n = strlen(one->from);

        if (!strncmp(whole, one->from, n) && (whole[n] == '/' || (n && one->from[n - 1] == '/'))) {
            return g_build_filename(one->to, whole + n, NULL);
        }
    }
    return g_steal_pointer(&whole);
}

/* A file's text; NULL with an error. */
static char *read_file(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    char *text = NULL;
    ssize_t size;

    if (fd < 0 || fstat(fd, &status) < 0) {
        error_fail_errno(error, errno, "cannot read source '%s'", path);
    } else if (!S_ISREG(status.st_mode) || status.st_size > SOURCE_BYTES_MAX) {
        error_fail(error, KASO_ERROR_INVALID, "source '%s' is no file of at most %d MiB", path,
                   SOURCE_BYTES_MAX >> 20);
    } else {
        text = g_malloc((gsize)status.st_size + 1);
        size = pread(fd, text, (size_t)status.st_size, 0);
        text[MAX(size, 0)] = '\0';
    }
    if (fd >= 0) {
        close(fd);
    }
    return text;
}

/* What a terminal may be given of it. */
static char *printable(const char *text, size_t length)
{
    g_autofree char *line = g_strndup(text, MIN(length, SOURCE_COLUMNS_MAX));
    char *valid = g_utf8_make_valid(line, -1);

    for (char *c = valid; *c; c++) {
        if (g_ascii_iscntrl(*c) && *c != '\t') {
            *c = ' ';
        }
    }
    return g_strchomp(valid);
}

char **source_read(Machine *machine, const SourceLine *line, unsigned first, unsigned last,
                   GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *path = source_path(machine, line), *text = read_file(path, &cause);
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    const char *at = text;

    if (!text) {
        error_fail(error, cause->code, "%s:%u: %s; 'symbols source FROM TO' says where sources are",
                   line->source, line->line ? line->line : first, cause->message);
        return NULL;
    }
    for (unsigned number = 1; *at && number <= last; number++) {
        size_t length = strcspn(at, "\n");

        if (number >= first) {
            g_ptr_array_add(lines, printable(at, length));
        }
        at += length + (at[length] == '\n');
    }
    g_ptr_array_add(lines, NULL);
    return (char **)g_ptr_array_steal(lines, NULL);
}

char *source_text(Machine *machine, const SourceLine *line)
{
    g_auto(GStrv) lines = source_read(machine, line, line->line, line->line, NULL);

    return lines ? g_strdup(lines[0]) : NULL;
}

void source_put(json_t *object, const SourceLine *line)
{
    monitor_put(object, "source", monitor_string(line->source));
    if (*line->source != '/' && *line->folder) {
        monitor_put(object, "folder", monitor_string(line->folder));
    }
    monitor_put(object, "line", json_integer(line->line));
}

void source_print(json_t *object, GString *out)
{
    if (monitor_has(object, "source")) {
        g_string_append_printf(out, " at %s:%d", monitor_get_string(object, "source"),
                               (int)monitor_get_int(object, "line", 0));
    }
}
