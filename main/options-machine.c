/* SPDX-License-Identifier: MIT */
/* Options about the machine itself: board, CPU, accelerator, memory, topology, clock, boot order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/error.h"
#include "base/names.h"
#include "machine/numa.h"
#include "main/handlers.h"

/* Appends the accelerators of "kvm:tcg", all with the same options. */
static void add_accelerators(Setup *setup, const char *names, const KeyValues *options)
{
    g_auto(GStrv) parts = g_strsplit(names, ":", -1);

    for (char **part = parts; *part; part++) {
        AcceleratorChoice choice = { g_strdup(*part), options ? key_values_table(options) : NULL };

        g_array_append_val(setup->accelerators, choice);
    }
}

/* Whether "help" is among the keys, as in NAME,help. */
static bool asks_help(const KeyValues *list)
{
    return key_values_get(list, "help") || key_values_get(list, "?");
}

bool option_accel(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "accel", error);
    g_autofree char *name = NULL;

    if (!list) {
        return false;
    }
    name = key_values_take(list, "accel");
    if (!name) {
        return error_fail(error, KASO_ERROR_INVALID, "it does not name an accelerator");
    }
    if (is_help(name)) {
        help_accelerators();
        help_done();
    }
    if (asks_help(list)) {
        if (!help_accelerator(name, error)) {
            return false;
        }
        help_done();
    }
    add_accelerators(setup, name, list);
    return true;
}

bool option_enable_kvm(Setup *setup, const char *argument, GError **error)
{
    add_accelerators(setup, "kvm", NULL);
    return true;
}

bool option_perfmap(Setup *setup, const char *argument, GError **error)
{
    setup->perfmap = true;
    return true;
}

/* What a property of all machines would be for; NULL: it is none that is known. Members of its have names with dots. */
static const char *machine_feature_not_yet(const char *key)
{
    static const struct {
        const char *name, *feature;
    } not_yet[] = {
        { "confidential-guest-support", "guests that the host cannot read" },
        { "memory-encryption", "guests that the host cannot read" },
        { "sgx-epc", "memory of enclaves" },
        { "smp-cache", "a choice of what the caches are" },
        { "shim", "the boot shim" },
        { "x-change-vmfd-on-reset", "a guest of KVM made anew at each reset" },
    };
    size_t length = strcspn(key, ".");

    for (size_t i = 0; i < G_N_ELEMENTS(not_yet); i++) {
        if (strlen(not_yet[i].name) == length && strncmp(key, not_yet[i].name, length) == 0) {
            return not_yet[i].feature;
        }
    }
    return NULL;
}

/* Options of -machine that are not the board's. Returns whether the key was one of them. */
static bool machine_common_option(Setup *setup, const KeyValue *pair, bool *ok, GError **error)
{
    static const char *const ignored[] = { "dump-guest-core",
                                           "mem-merge",
                                           "graphics",
                                           "suppress-vmdesc",
                                           "hmat",
                                           "nvdimm",
                                           "aux-ram-share",
                                           "default-bus-bypass-iommu" };
    MachineConfig *config = &setup->config;
    struct {
        const char *name;
        char **field;
    } texts[] = {
        { "kernel", &config->kernel }, { "initrd", &config->initrd },
        { "append", &config->append }, { "dtb", &config->dtb },
        { "firmware", &config->bios }, { "memory-backend", &config->memory_backend },
    };
    const char *feature;
    g_autofree char *key = g_strdup(pair->key); /* underscores may stand for dashes */

    *ok = true;
    g_strdelimit(key, "_", '-');
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (strcmp(key, texts[i].name) == 0) {
            g_free(*texts[i].field);
            *texts[i].field = g_strdup(pair->value);
            return true;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++) {
        if (strcmp(key, ignored[i]) == 0) {
            *ok = parse_switch(pair->key, pair->value, &(bool){ false }, error);
            return true;
        }
    }
    feature = machine_feature_not_yet(key);
    if (feature) {
        *ok = strcmp(pair->value, "off") == 0 ||
              error_fail(error, KASO_ERROR_UNSUPPORTED, "%s=%s: not yet: %s", pair->key,
                         pair->value, feature);
        return true;
    }
    if (strcmp(key, "kernel-irqchip") == 0) {
        g_free(setup->kernel_irqchip);
        setup->kernel_irqchip = g_strdup(pair->value);
        return true;
    }
    if (strcmp(pair->key, "accel") == 0) {
        add_accelerators(setup, pair->value, NULL);
        return true;
    }
    if (strcmp(pair->key, "usb") == 0) {
        setup->usb_given = true;
        *ok = parse_switch("usb", pair->value, &config->usb, error);
        return true;
    }
    return false;
}

bool option_cpu(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = NULL;

    if (is_help(argument)) {
        help_cpus(setup->target);
        help_done();
    }
    list = key_values_parse(argument, CPU_MODEL_KEY, error);
    if (!list) {
        return false;
    }
    if (asks_help(list)) {
        const char *model = key_values_get(list, CPU_MODEL_KEY);

        if (!help_cpu(setup->target, model ? model : "", error)) {
            return false;
        }
        help_done();
    }
    g_free(setup->cpu);
    setup->cpu = g_strdup(argument);
    return true;
}

bool option_one_insn(Setup *setup, const char *argument, GError **error)
{
    setup->one_insn = true;
    return true;
}

bool option_no_fd_bootchk(Setup *setup, const char *argument, GError **error)
{
    setup->no_fd_bootchk = true;
    return true;
}

bool option_compat(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "deprecated-input", "deprecated-output", "unstable-input",
                                         "unstable-output", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, NULL, error);

    if (!list || !key_values_check(list, names, "-compat", error)) {
        return false;
    }
    for (guint i = 0; i < list->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);

        if (key_values_counts(list, i) && strcmp(pair->value, "accept") != 0) {
            return error_fail(error, KASO_ERROR_UNSUPPORTED,
                              "%s=%s: not yet: nothing is refused or hidden for its age; accept is "
                              "what there is",
                              pair->key, pair->value);
        }
    }
    return true;
}

enum { MEMORY_GRAIN = 8192 };

static bool parse_size(const char *text, bool bare_mib, uint64_t *bytes, GError **error)
{
    bool bare = text[0] && strspn(text, "0123456789") == strlen(text);
    g_autofree char *with_unit = g_strconcat(text, bare && bare_mib ? "M" : "", NULL);

    if (!property_parse_size(with_unit, bytes) || *bytes > UINT64_MAX - MEMORY_GRAIN) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' is no size; give %s, or a number with suffix K, M, G or T", text,
                          bare_mib ? "MiB" : "bytes");
    }
    return true;
}

static bool parse_slots(const char *text, unsigned *slots, GError **error)
{
    enum { MOST = 256 };
    uint64_t number;

    if (!g_ascii_string_to_unsigned(text, 10, 0, MOST, &number, NULL)) {
        return error_fail(error, KASO_ERROR_INVALID, "slots=%s: give a number from 0 to %u", text,
                          MOST);
    }
    *slots = (unsigned)number;
    return true;
}

/* What is not among the options stays as it was. names: size, slots, most; NULL-terminated. */
static bool take_memory(MemorySizes *memory, const KeyValues *list, const char *const names[4],
                        const char *what, bool size_in_mib, GError **error)
{
    const char *size = key_values_get(list, names[0]), *slots = key_values_get(list, names[1]);
    const char *most = key_values_get(list, names[2]);

    if (!key_values_check(list, names, what, error) ||
        (size && !parse_size(size, size_in_mib, &memory->size, error)) ||
        (slots && !parse_slots(slots, &memory->slots, error)) ||
        (most && !parse_size(most, false, &memory->most, error))) {
        return false;
    }
    memory->size = align_up(memory->size, MEMORY_GRAIN); /* whole pages of any processor */
    memory->size_given |= size != NULL;
    memory->slots_given |= slots != NULL;
    memory->most_given |= most != NULL;
    return true;
}

bool option_m(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "size", "slots", "maxmem", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, "size", error);

    return list && take_memory(&setup->memory, list, names, "-m", true, error);
}

static bool machine_memory(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "size", "slots", "max-size", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, NULL, error);

    return list &&
           take_memory(&setup->machine_memory, list, names, "-machine memory", false, error);
}

bool option_mem_path(Setup *setup, const char *argument, GError **error)
{
    g_free(setup->memory_path);
    setup->memory_path = g_strdup(argument);
    return true;
}

bool option_mem_prealloc(Setup *setup, const char *argument, GError **error)
{
    setup->memory_prealloc = true;
    return true;
}

enum {
    SMP_CPUS,
    SMP_MAXCPUS,
    SMP_DRAWERS,
    SMP_BOOKS,
    SMP_SOCKETS,
    SMP_DIES,
    SMP_CLUSTERS,
    SMP_MODULES,
    SMP_CORES,
    SMP_THREADS,
    SMP_COUNT
};

/* Fills what was left out: cores take what the rest does not need, then sockets. */
static bool complete_topology(unsigned smp[SMP_COUNT], GError **error)
{
    unsigned others = 1, product;

    for (int i = SMP_DRAWERS; i < SMP_COUNT; i++) {
        if (i != SMP_SOCKETS && i != SMP_CORES) {
            smp[i] = smp[i] ? smp[i] : 1;
            others *= smp[i];
        }
    }
    if (!smp[SMP_MAXCPUS]) {
        smp[SMP_MAXCPUS] = smp[SMP_CPUS];
    }
    if (!smp[SMP_SOCKETS]) {
        smp[SMP_SOCKETS] = smp[SMP_CORES] && smp[SMP_MAXCPUS]
                               ? MAX(smp[SMP_MAXCPUS] / (others * smp[SMP_CORES]), 1)
                               : 1;
    }
    if (!smp[SMP_CORES]) {
        smp[SMP_CORES] =
            smp[SMP_MAXCPUS] ? MAX(smp[SMP_MAXCPUS] / (others * smp[SMP_SOCKETS]), 1) : 1;
    }
    product = others * smp[SMP_SOCKETS] * smp[SMP_CORES];
    if (!smp[SMP_MAXCPUS]) {
        smp[SMP_MAXCPUS] = product;
    }
    if (!smp[SMP_CPUS]) {
        smp[SMP_CPUS] = smp[SMP_MAXCPUS];
    }
    if (product != smp[SMP_MAXCPUS]) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the topology (sockets=%u, cores=%u, threads=%u …) makes %u CPU%s, not "
                          "the %u of maxcpus",
                          smp[SMP_SOCKETS], smp[SMP_CORES], smp[SMP_THREADS], product,
                          plural(product), smp[SMP_MAXCPUS]);
    }
    if (smp[SMP_CPUS] > smp[SMP_MAXCPUS]) {
        return error_fail(error, KASO_ERROR_INVALID, "cpus=%u is more than maxcpus=%u",
                          smp[SMP_CPUS], smp[SMP_MAXCPUS]);
    }
    return true;
}

bool option_smp(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "cpus",    "maxcpus", "drawers",  "books",
                                         "sockets", "dies",    "clusters", "modules",
                                         "cores",   "threads", NULL };
    enum { MOST = 4096 };
    g_autoptr(KeyValues) list = key_values_parse(argument, "cpus", error);
    unsigned smp[SMP_COUNT] = { 0 };

    if (!list || !key_values_check(list, names, "-smp", error)) {
        return false;
    }
    key_values_append(setup->smp_options, list);
    for (int i = 0; i < SMP_COUNT; i++) {
        const char *text = key_values_get(setup->smp_options, names[i]);
        char *end;
        unsigned long number = text ? strtoul(text, &end, 10) : 0;

        if (text && (!g_ascii_isdigit(*text) || *end || number < 1 || number > MOST)) {
            return error_fail(error, KASO_ERROR_INVALID, "%s=%s: give a number from 1 to %u",
                              names[i], text, MOST);
        }
        smp[i] = number;
    }
    if (!complete_topology(smp, error)) {
        return false;
    }
    setup->config.vcpus = smp[SMP_CPUS];
    setup->config.sockets = smp[SMP_SOCKETS];
    setup->config.cores = smp[SMP_CORES] * smp[SMP_CLUSTERS] * smp[SMP_DIES] * smp[SMP_MODULES];
    setup->config.threads = smp[SMP_THREADS];
    setup->config.dies = smp[SMP_DIES];
    setup->config.clusters = smp[SMP_CLUSTERS];
    setup->config.modules = smp[SMP_MODULES];
    setup->config.drawers = smp[SMP_DRAWERS];
    setup->config.books = smp[SMP_BOOKS];
    return true;
}

bool option_numa(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "type", error);

    return list && numa_add(setup->machine, list, error);
}

bool option_boot(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "order",       "once",           "menu",   "splash",
                                         "splash-time", "reboot-timeout", "strict", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, "order", error);
    GHashTable *table;

    if (!list || !key_values_check(list, names, "-boot", error)) {
        return false;
    }
    table = key_values_table(list);
    if (setup->config.boot_options) {
        GHashTableIter it;
        void *key, *value;

        g_hash_table_iter_init(&it, table);
        while (g_hash_table_iter_next(&it, &key, &value)) {
            g_hash_table_replace(setup->config.boot_options, g_strdup(key), g_strdup(value));
        }
        g_hash_table_unref(table);
    } else {
        setup->config.boot_options = table;
    }
    return true;
}

/* What -boot, -smp and -m say is also spelled as properties of machines: boot.order=, smp.cpus=, memory.max-size=. */
static const struct {
    const char *prefix, *example; /* with its dot; one of its keys */
    OptionHandler *apply;
} machine_groups[] = {
    { "boot.", "order", option_boot },
    { "smp.", "cpus", option_smp },
    { "memory.", "size", machine_memory },
};

/* Appends a pair of a group to the argument of the option that is the same. Returns whether it was of a group. */
static bool machine_group_option(GString *arguments[], const KeyValue *pair)
{
    for (size_t i = 0; i < G_N_ELEMENTS(machine_groups); i++) {
        if (g_str_has_prefix(pair->key, machine_groups[i].prefix)) {
            const char *key = pair->key + strlen(machine_groups[i].prefix);
            g_auto(GStrv) parts = g_strsplit(pair->value, ",", -1);
            g_autofree char *value = g_strjoinv(",,", parts);

            arguments[i] = arguments[i] ? arguments[i] : g_string_new(NULL);
            g_string_append_printf(arguments[i], "%s%s=%s", arguments[i]->len ? "," : "", key,
                                   value);
            return true;
        }
    }
    return false;
}

/* A group's name without a key is no property. */
static bool check_not_group(const char *key, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(machine_groups); i++) {
        const char *prefix = machine_groups[i].prefix;

        if (strlen(key) + 1 == strlen(prefix) && g_str_has_prefix(prefix, key)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "'%s' has several parts; give them by name, as in %s%s=", key, prefix,
                              machine_groups[i].example);
        }
    }
    return true;
}

/* Frees the arguments. */
static bool apply_machine_groups(Setup *setup, GString *arguments[], GError **error)
{
    bool ok = true;

    for (size_t i = 0; i < G_N_ELEMENTS(machine_groups); i++) {
        if (arguments[i]) {
            ok = ok && machine_groups[i].apply(setup, arguments[i]->str, error);
            g_string_free(arguments[i], TRUE);
        }
    }
    return ok;
}

bool option_machine(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "type", error);
    GString *groups[G_N_ELEMENTS(machine_groups)] = { NULL };
    bool ok = true;

    if (!list) {
        return false;
    }
    for (unsigned i = 0; i < list->pairs->len && ok; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);

        if (strcmp(pair->key, "type") == 0) {
            if (is_help(pair->value)) {
                help_machines(setup->target);
                help_done();
            }
            g_free(setup->machine_name);
            setup->machine_name = g_strdup(pair->value);
        } else if (is_help(pair->key)) {
            ok = help_machine(setup->machine_name ? setup->machine_name : "", error);
            if (ok) {
                help_done();
            }
        } else if (key_values_counts(list, i) && !machine_group_option(groups, pair) &&
                   !machine_common_option(setup, pair, &ok, error)) {
            ok = check_not_group(pair->key, error);
            key_values_add(setup->machine_options, pair->key, pair->value);
        }
    }
    return apply_machine_groups(setup, groups, ok ? error : NULL) && ok;
}

static bool parse_date(const char *text, int64_t *seconds)
{
    struct tm date = { 0 };
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &date);

    if (!end) {
        date = (struct tm){ 0 };
        end = strptime(text, "%Y-%m-%d", &date);
    }
    *seconds = timegm(&date);
    return end && *end == '\0';
}

bool option_rtc(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "base", "clock", "driftfix", NULL };
    static const char *const clocks[] = { "host", "rt", "vm" }; /* RtcClock */
    g_autoptr(KeyValues) list = key_values_parse(argument, "base", error);
    const char *base, *clock, *driftfix;
    MachineConfig *config = &setup->config;

    if (!list || !key_values_check(list, names, "-rtc", error)) {
        return false;
    }
    base = key_values_get(list, "base");
    clock = key_values_get(list, "clock");
    driftfix = key_values_get(list, "driftfix");
    if (base && strcmp(base, "localtime") == 0) {
        config->rtc_local = true;
    } else if (base && strcmp(base, "utc") != 0 && !parse_date(base, &config->rtc_base_s)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "base=%s: give utc, localtime, or a date like 2024-02-29T12:00:00", base);
    }
    for (unsigned i = 0; clock && strcmp(clock, clocks[i]) != 0; config->rtc_clock = ++i) {
        if (i + 1 == G_N_ELEMENTS(clocks)) {
            return error_fail(error, KASO_ERROR_INVALID, "clock=%s: give host, rt or vm", clock);
        }
    }
    if (driftfix && strcmp(driftfix, "none") != 0 && strcmp(driftfix, "slew") != 0) {
        return error_fail(error, KASO_ERROR_INVALID, "driftfix=%s: give none or slew", driftfix);
    }
    config->rtc_driftfix = driftfix && strcmp(driftfix, "slew") == 0;
    return true;
}

static bool get_switch(const KeyValues *list, const char *key, bool unless, bool *value,
                       GError **error)
{
    const char *text = key_values_get(list, key);

    *value = text ? strcmp(text, "on") == 0 : unless;
    return !text || *value || strcmp(text, "off") == 0 ||
           error_fail(error, KASO_ERROR_INVALID, "%s=%s: give on or off", key, text);
}

static bool parse_shift(const char *text, IcountConfig *icount, GError **error)
{
    enum { SHIFT_MOST = 10 };
    uint64_t shift;

    if (!text) {
        return error_fail(error, KASO_ERROR_INVALID, "give shift=0 to %d, or shift=auto",
                          SHIFT_MOST);
    }
    icount->automatic = strcmp(text, "auto") == 0;
    if (icount->automatic) {
        return true;
    }
    if (!g_ascii_string_to_unsigned(text, 10, 0, SHIFT_MOST, &shift, NULL)) {
        return error_fail(error, KASO_ERROR_INVALID, "shift=%s: give 0 to %d, or auto", text,
                          SHIFT_MOST);
    }
    icount->shift = (uint8_t)shift;
    return true;
}

bool option_icount(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "shift",  "align",      "sleep", "rr",
                                         "rrfile", "rrsnapshot", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, "shift", error);
    IcountConfig *icount = &setup->config.icount;

    if (!list || !key_values_check(list, names, "-icount", error)) {
        return false;
    }
    for (const char *const *name = names + 3; *name; name++) {
        if (key_values_get(list, *name)) {
            return error_fail(error, KASO_ERROR_UNSUPPORTED, "%s=: not yet: record and replay",
                              *name);
        }
    }
    *icount = (IcountConfig){ .on = true };
    if (!get_switch(list, "align", false, &icount->align, error) ||
        !get_switch(list, "sleep", true, &icount->sleep, error) ||
        !parse_shift(key_values_get(list, "shift"), icount, error)) {
        return false;
    }
    if (!icount->sleep && icount->align) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "align=on waits for the host's time, sleep=off does not: give one of them");
    }
    return true;
}

bool option_seed(Setup *setup, const char *argument, GError **error)
{
    char *end;

    errno = 0;
    setup->seed = g_ascii_strtoull(argument, &end, 0);
    setup->seeded = true;
    return (g_ascii_isdigit(*argument) && !*end && !errno) ||
           error_fail(error, KASO_ERROR_INVALID, "'%s': give a number of 64 bits", argument);
}

bool option_name(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "guest", "process", "debug-threads", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, "guest", error);
    const char *process, *named;

    if (!list || !key_values_check(list, names, "-name", error)) {
        return false;
    }
    if (key_values_get(list, "guest")) {
        g_free(setup->config.name);
        setup->config.name = g_strdup(key_values_get(list, "guest"));
    }
    process = key_values_get(list, "process");
    if (process) {
        prctl(PR_SET_NAME, process);
    }
    named = key_values_get(list, "debug-threads"); /* they always are */
    return !named || parse_switch("debug-threads", named, &(bool){ false }, error);
}

bool option_uuid(Setup *setup, const char *argument, GError **error)
{
    if (!g_uuid_string_is_valid(argument)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "write it like 550e8400-e29b-41d4-a716-446655440000");
    }
    g_free(setup->config.uuid);
    setup->config.uuid = g_strdup(argument);
    return true;
}

bool option_global(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "driver", "property", "value", NULL };
    const char *equals = strchr(argument, '='), *dot = strchr(argument, '.');
    KeyValues *list;

    if (equals && dot && dot < equals) {
        g_autofree char *driver = g_strndup(argument, dot - argument);
        g_autofree char *property = g_strndup(dot + 1, equals - dot - 1);

        list = key_values_new();
        key_values_add(list, "driver", driver);
        key_values_add(list, "property", property);
        key_values_add(list, "value", equals + 1);
    } else {
        list = key_values_parse(argument, NULL, error);
        if (!list || !key_values_check(list, names, "-global", error)) {
            return false;
        }
    }
    if (!key_values_get(list, "driver") || !key_values_get(list, "property") ||
        !key_values_get(list, "value")) {
        key_values_free(list);
        return error_fail(error, KASO_ERROR_INVALID, "write it as DRIVER.PROPERTY=VALUE");
    }
    g_ptr_array_add(setup->globals, list);
    return true;
}
