/* SPDX-License-Identifier: MIT */
/* Commands about virtio devices: what driver and device have agreed upon, and what is in their queues. */
#include <string.h>

#include "machine/device.h"
#include "machine/virtio-info.h"
#include "monitor/command.h"

/* Where other programs have a virtio device behind what carries it; devices on virtio-mmio are their own. */
static char *backend_path(const Device *device)
{
    g_autofree char *path = device_user_path(device);

    return g_strconcat(path, strcmp(device->type->bus, "virtio-bus") ? "/virtio-backend" : "",
                       NULL);
}

static void append_device(Device *device, void *opaque)
{
    json_t *list = opaque;
    VirtioInfo info;

    if (virtio_inspection_of(device)) {
        g_autofree char *path = backend_path(device);
        json_t *entry = json_object();

        virtio_inspection_of(device)->device(device, &info);
        monitor_put(entry, "path", monitor_string(path));
        monitor_put(entry, "name", json_string(info.name));
        json_array_insert_new(list, 0, entry);
    }
}

static json_t *list_run(Monitor *monitor, json_t *arguments, GError **error)
{
    json_t *list = json_array();

    device_foreach(monitor_machine(monitor)->root, append_device, list);
    return list;
}

static void list_print(Monitor *monitor, json_t *result, GString *out)
{
    size_t i;
    json_t *entry;

    if (!json_array_size(result)) {
        g_string_append(out, "No VirtIO devices\n");
    }
    json_array_foreach(result, i, entry)
    {
        g_string_append_printf(out, "%s [%s]\n", monitor_get_string(entry, "path"),
                               monitor_get_string(entry, "name"));
    }
}

static const MonitorCommand list_command = {
    .name = "x-query-virtio",
    .hmp = "info virtio",
    .summary = "lists the virtio devices",
    .run = list_run,
    .print = list_print,
    .returns = "[VirtioInfo]",
};
MONITOR_COMMAND(list_command);

static Device *find_device(Monitor *monitor, json_t *arguments, GError **error)
{
    const char *path = monitor_get_string(arguments, "path");
    Device *device = device_find(monitor_machine(monitor), path);

    if (!device || !virtio_inspection_of(device)) {
        error_fail(error, KASO_ERROR_INVALID, "'%s' is no virtio device; 'info virtio' lists them",
                   path);
        return NULL;
    }
    return device;
}

static bool find_queue(Monitor *monitor, json_t *arguments, Device **device, unsigned *queue,
                       GError **error)
{
    int64_t number = monitor_get_int(arguments, "queue", 0);

    *device = find_device(monitor, arguments, error);
    if (*device && (number < 0 || number > UINT16_MAX)) {
        return error_fail(error, KASO_ERROR_INVALID, "Invalid virtqueue number %" PRId64, number);
    }
    *queue = (unsigned)number;
    return *device;
}

static const char *kind_of(Device *device)
{
    VirtioInfo info;

    virtio_inspection_of(device)->device(device, &info);
    return info.name;
}

/* HMP's text begins with the path, which is not in QMP's answer. */
static json_t *with_path(json_t *arguments, json_t *answer)
{
    json_t *result = answer ? json_object() : NULL;

    if (result) {
        monitor_put(result, "path", json_incref(json_object_get(arguments, "path")));
        monitor_put(result, "answer", answer);
    }
    return result;
}

static json_t *print_path(json_t *result, GString *out)
{
    g_string_append_printf(out, "%s:\n", monitor_get_string(result, "path"));
    return json_object_get(result, "answer");
}

/* Takes the bits that have a name off *bits. */
static json_t *named_bits(uint64_t *bits, const VirtioBitName *names)
{
    json_t *list = json_array();

    for (; names && names->name; names++) {
        if (*bits >> names->bit & 1) {
            g_autofree char *text = g_strdup_printf("%s: %s", names->name, names->summary);

            json_array_append_new(list, json_string(text));
            *bits &= ~BIT(names->bit);
        }
    }
    return list;
}

static json_t *describe_features(uint64_t bits, const VirtioInfo *info)
{
    json_t *features = json_object();

    monitor_put(features, "transports", named_bits(&bits, info->transport_features));
    if (info->features) {
        monitor_put(features, "dev-features", named_bits(&bits, info->features));
    }
    if (bits) {
        monitor_put(features, "unknown-dev-features", json_integer((json_int_t)bits));
    }
    return features;
}

static json_t *describe_status(const VirtioInfo *info)
{
    json_t *result = json_object();
    uint64_t bits = info->status;

    monitor_put(result, "statuses", named_bits(&bits, info->statuses));
    if (bits) {
        monitor_put(result, "unknown-statuses", json_integer((json_int_t)bits));
    }
    return result;
}

static json_t *status_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Device *device = find_device(monitor, arguments, error);
    json_t *result;
    VirtioInfo info;

    if (!device) {
        return NULL;
    }
    virtio_inspection_of(device)->device(device, &info);
    result = json_object();
    monitor_put(result, "name", json_string(info.name));
    monitor_put(result, "device-id", json_integer(info.id));
    monitor_put(result, "vhost-started", json_boolean(info.vhost));
    monitor_put(result, "bus-name", json_string("virtio-bus"));
    monitor_put(result, "broken", json_boolean(info.broken));
    monitor_put(result, "disabled", json_false());
    monitor_put(result, "disable-legacy-check", json_boolean(info.disable_legacy_check));
    monitor_put(result, "started", json_boolean(info.started));
    monitor_put(result, "use-started", json_boolean(info.use_started));
    monitor_put(result, "start-on-kick", json_false());
    monitor_put(result, "use-guest-notifier-mask", json_true());
    monitor_put(result, "vm-running", json_boolean(machine_running(monitor_machine(monitor))));
    monitor_put(result, "num-vqs", json_integer(info.queues));
    monitor_put(result, "queue-sel", json_integer(info.queue_select));
    monitor_put(result, "isr", json_integer(info.isr));
    monitor_put(result, "device-endian", json_string("little"));
    monitor_put(result, "status", describe_status(&info));
    monitor_put(result, "guest-features", describe_features(info.accepted, &info));
    monitor_put(result, "host-features", describe_features(info.offered, &info));
    monitor_put(result, "backend-features", describe_features(0, &info));
    return result;
}

static const MonitorArgument device_arguments[] = {
    { "path", ARGUMENT_STRING, .summary = "path or id of a virtio device",
      .complete = monitor_complete_devices },
    { NULL },
};

static const MonitorCommand status_command = {
    .name = "x-query-virtio-status",
    .summary = "shows the state of a virtio device",
    .arguments = device_arguments,
    .run = status_run,
    .returns = "VirtioStatus",
};
MONITOR_COMMAND(status_command);

static json_t *info_status_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return with_path(arguments, status_run(monitor, arguments, error));
}

/* "  name:   value", for numbers and truths; HMP's names have underlines. */
static void print_members(json_t *object, const char *const *names, unsigned width, GString *out)
{
    for (; *names; names++) {
        g_autofree char *key = g_strdelimit(g_strdup(*names), "_", '-');
        g_autofree char *head = g_strconcat(*names, ":", NULL);
        json_t *value = json_object_get(object, key);

        if (json_is_string(value)) {
            g_string_append_printf(out, "  %-*s %s\n", width, head, json_string_value(value));
        } else if (json_is_integer(value)) {
            g_string_append_printf(out, "  %-*s %" JSON_INTEGER_FORMAT "\n", width, head,
                                   json_integer_value(value));
        } else if (json_is_boolean(value)) {
            g_string_append_printf(out, "  %-*s %s\n", width, head,
                                   json_is_true(value) ? "true" : "false");
        }
    }
}

static void print_list(json_t *list, GString *out)
{
    size_t i;
    json_t *text;

    json_array_foreach(list, i, text)
    {
        g_string_append_printf(out, "\t%s%s\n", json_string_value(text),
                               i + 1 < json_array_size(list) ? "," : "");
    }
}

static void print_features(const char *title, json_t *features, GString *out)
{
    g_string_append_printf(out, "  %s features:\n", title);
    print_list(json_object_get(features, "transports"), out);
    print_list(json_object_get(features, "dev-features"), out);
    if (monitor_has(features, "unknown-dev-features")) {
        g_string_append_printf(out, "\tunknown-features(0x%016" PRIx64 ")\n",
                               (uint64_t)monitor_get_int(features, "unknown-dev-features", 0));
    }
}

static void info_status_print(Monitor *monitor, json_t *result, GString *out)
{
    static const char *const names[] = { "device_id",
                                         "vhost_started",
                                         "bus_name",
                                         "broken",
                                         "disabled",
                                         "disable_legacy_check",
                                         "started",
                                         "use_started",
                                         "start_on_kick",
                                         "use_guest_notifier_mask",
                                         "vm_running",
                                         "num_vqs",
                                         "queue_sel",
                                         "isr",
                                         NULL };
    json_t *answer = print_path(result, out);

    g_string_append_printf(out, "  %-24s %s%s\n",
                           "device_name:", monitor_get_string(answer, "name"),
                           monitor_get_bool(answer, "vhost-started") ? " (vhost)" : "");
    print_members(answer, names, 24, out);
    g_string_append_printf(out, "  %-24s %s\n  status:\n",
                           "endianness:", monitor_get_string(answer, "device-endian"));
    print_list(json_object_get(json_object_get(answer, "status"), "statuses"), out);
    print_features("Guest", json_object_get(answer, "guest-features"), out);
    print_features("Host", json_object_get(answer, "host-features"), out);
    print_features("Backend", json_object_get(answer, "backend-features"), out);
}

static const MonitorCommand info_status_command = {
    .hmp = "info virtio-status",
    .summary = "shows the state of a virtio device",
    .arguments = device_arguments,
    .run = info_status_run,
    .print = info_status_print,
};
MONITOR_COMMAND(info_status_command);

static json_t *queue_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Device *device;
    unsigned queue;
    VirtioQueueInfo info;
    json_t *result;

    if (!find_queue(monitor, arguments, &device, &queue, error) ||
        !virtio_inspection_of(device)->queue(device, queue, &info, error)) {
        return NULL;
    }
    result = json_object();
    monitor_put(result, "name", json_string(kind_of(device)));
    monitor_put(result, "queue-index", json_integer(queue));
    monitor_put(result, "inuse", json_integer(info.in_flight));
    monitor_put(result, "used-idx", json_integer(info.used_index));
    monitor_put(result, "signalled-used", json_integer(info.signalled_used));
    monitor_put(result, "signalled-used-valid", json_boolean(info.signalled_valid));
    if (!info.vhost) {
        monitor_put(result, "last-avail-idx", json_integer(info.last_available));
        monitor_put(result, "shadow-avail-idx", json_integer(info.available_index));
    }
    monitor_put(result, "vring-num", json_integer(info.size));
    monitor_put(result, "vring-num-default", json_integer(info.maximum));
    monitor_put(result, "vring-align", json_integer(info.alignment));
    monitor_put(result, "vring-desc", json_integer((json_int_t)info.descriptors));
    monitor_put(result, "vring-avail", json_integer((json_int_t)info.available));
    monitor_put(result, "vring-used", json_integer((json_int_t)info.used));
    return result;
}

static const MonitorArgument queue_arguments[] = {
    { "path", ARGUMENT_STRING, .summary = "path or id of a virtio device",
      .complete = monitor_complete_devices },
    { "queue", ARGUMENT_INT, .summary = "number of the queue" },
    { NULL },
};

static const MonitorCommand queue_command = {
    .name = "x-query-virtio-queue-status",
    .summary = "shows the state of a queue of a virtio device",
    .arguments = queue_arguments,
    .run = queue_run,
    .returns = "VirtQueueStatus",
};
MONITOR_COMMAND(queue_command);

static json_t *info_queue_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return with_path(arguments, queue_run(monitor, arguments, error));
}

static void print_address(json_t *answer, const char *prefix, const char *name, GString *out)
{
    g_autofree char *key = g_strconcat(prefix, name, NULL), *head = g_strconcat(name, ":", NULL);

    g_string_append_printf(out, "    %-12s 0x%016" PRIx64 "\n", head,
                           (uint64_t)monitor_get_int(answer, key, 0));
}

static void print_ring_number(json_t *answer, const char *key, const char *name, GString *out)
{
    g_autofree char *head = g_strconcat(name, ":", NULL);

    g_string_append_printf(out, "    %-12s %" PRId64 "\n", head, monitor_get_int(answer, key, 0));
}

static void info_queue_print(Monitor *monitor, json_t *result, GString *out)
{
    static const char *const names[] = {
        "queue_index",          "inuse",          "used_idx",         "signalled_used",
        "signalled_used_valid", "last_avail_idx", "shadow_avail_idx", NULL
    };
    json_t *answer = print_path(result, out);

    g_string_append_printf(out, "  %-21s %s\n", "device_name:", monitor_get_string(answer, "name"));
    print_members(answer, names, 21, out);
    g_string_append(out, "  VRing:\n");
    print_ring_number(answer, "vring-num", "num", out);
    print_ring_number(answer, "vring-num-default", "num_default", out);
    print_ring_number(answer, "vring-align", "align", out);
    print_address(answer, "vring-", "desc", out);
    print_address(answer, "vring-", "avail", out);
    print_address(answer, "vring-", "used", out);
}

static const MonitorCommand info_queue_command = {
    .hmp = "info virtio-queue-status",
    .summary = "shows the state of a queue of a virtio device",
    .arguments = queue_arguments,
    .run = info_queue_run,
    .print = info_queue_print,
};
MONITOR_COMMAND(info_queue_command);

static json_t *vhost_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Device *device;
    unsigned queue;
    VirtioVhostQueueInfo info;
    json_t *result;

    if (!find_queue(monitor, arguments, &device, &queue, error) ||
        !virtio_inspection_of(device)->vhost_queue(device, queue, &info, error)) {
        return NULL;
    }
    result = json_object();
    monitor_put(result, "name", json_string(kind_of(device)));
    monitor_put(result, "kick", json_integer(info.kick));
    monitor_put(result, "call", json_integer(info.call));
    monitor_put(result, "num", json_integer(info.size));
    monitor_put(result, "desc-phys", json_integer((json_int_t)info.descriptors));
    monitor_put(result, "desc-size", json_integer((json_int_t)info.descriptors_bytes));
    monitor_put(result, "avail-phys", json_integer((json_int_t)info.available));
    monitor_put(result, "avail-size", json_integer((json_int_t)info.available_bytes));
    monitor_put(result, "used-phys", json_integer((json_int_t)info.used));
    monitor_put(result, "used-size", json_integer((json_int_t)info.used_bytes));
    return result;
}

static const MonitorCommand vhost_command = {
    .name = "x-query-virtio-vhost-queue-status",
    .summary = "shows a queue of a virtio device on which the kernel works",
    .arguments = queue_arguments,
    .run = vhost_run,
    .returns = "VirtVhostQueueStatus",
};
MONITOR_COMMAND(vhost_command);

static json_t *info_vhost_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return with_path(arguments, vhost_run(monitor, arguments, error));
}

static void info_vhost_print(Monitor *monitor, json_t *result, GString *out)
{
    static const char *const names[] = { "kick", "call", NULL };
    static const char *const rings[] = { "desc", "avail", "used" };
    json_t *answer = print_path(result, out);

    g_string_append_printf(out, "  %-21s %s (vhost)\n",
                           "device_name:", monitor_get_string(answer, "name"));
    print_members(answer, names, 21, out);
    g_string_append(out, "  VRing:\n");
    print_ring_number(answer, "num", "num", out);
    for (size_t i = 0; i < G_N_ELEMENTS(rings); i++) {
        g_autofree char *at = g_strconcat(rings[i], "-phys", NULL);
        g_autofree char *bytes = g_strconcat(rings[i], "-size", NULL);
        g_autofree char *name = g_strconcat(rings[i], "_size", NULL);

        g_string_append_printf(out, "    %s:%*s 0x%016" PRIx64 "\n", rings[i],
                               (int)(11 - strlen(rings[i])), "",
                               (uint64_t)monitor_get_int(answer, at, 0));
        print_ring_number(answer, bytes, name, out);
    }
}

static const MonitorCommand info_vhost_command = {
    .hmp = "info virtio-vhost-queue-status",
    .summary = "shows a queue of a virtio device on which the kernel works",
    .arguments = queue_arguments,
    .run = info_vhost_run,
    .print = info_vhost_print,
};
MONITOR_COMMAND(info_vhost_command);

static json_t *describe_descriptor(const VirtioDescriptor *descriptor)
{
    static const struct {
        uint16_t bit;
        const char *name;
    } flags[] = {
        { VIRTIO_DESCRIPTOR_NEXT, "next" },
        { VIRTIO_DESCRIPTOR_WRITE, "write" },
        { VIRTIO_DESCRIPTOR_INDIRECT, "indirect" },
    };
    json_t *result = json_object(), *names = json_array();

    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        if (descriptor->flags & flags[i].bit) {
            json_array_append_new(names, json_string(flags[i].name));
        }
    }
    monitor_put(result, "addr", json_integer((json_int_t)descriptor->address));
    monitor_put(result, "len", json_integer(descriptor->length));
    monitor_put(result, "flags", names);
    return result;
}

static json_t *element_run(Monitor *monitor, json_t *arguments, GError **error)
{
    g_autofree VirtioElementInfo *info = g_new0(VirtioElementInfo, 1);
    int64_t place = monitor_get_int(arguments, "index", -1);
    Device *device;
    unsigned queue;
    json_t *result, *chain;

    if (!find_queue(monitor, arguments, &device, &queue, error) ||
        !virtio_inspection_of(device)->element(device, queue, place, info, error)) {
        return NULL;
    }
    chain = json_array();
    for (unsigned i = 0; i < info->count; i++) {
        json_array_append_new(chain, describe_descriptor(&info->chain[i]));
    }
    result = json_object();
    monitor_put(result, "name", json_string(kind_of(device)));
    monitor_put(result, "index", json_integer(info->head));
    monitor_put(result, "descs", chain);
    monitor_put(result, "avail",
                json_pack("{s:i, s:i, s:i}", "flags", info->available_flags, "idx",
                          info->available_index, "ring", info->available_entry));
    monitor_put(result, "used",
                json_pack("{s:i, s:i}", "flags", info->used_flags, "idx", info->used_index));
    return result;
}

static const MonitorArgument element_arguments[] = {
    { "path", ARGUMENT_STRING, .summary = "path or id of a virtio device",
      .complete = monitor_complete_devices },
    { "queue", ARGUMENT_INT, .summary = "number of the queue" },
    { "index", ARGUMENT_INT, true, "place in its available ring; none: what is taken next" },
    { NULL },
};

static const MonitorCommand element_command = {
    .name = "x-query-virtio-queue-element",
    .summary = "shows a chain of buffers in a queue of a virtio device",
    .arguments = element_arguments,
    .run = element_run,
    .returns = "VirtioQueueElement",
};
MONITOR_COMMAND(element_command);

static json_t *info_element_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return with_path(arguments, element_run(monitor, arguments, error));
}

static void print_descriptor(json_t *descriptor, GString *out)
{
    json_t *flags = json_object_get(descriptor, "flags"), *flag;
    size_t i;

    g_string_append_printf(out, "        addr 0x%" PRIx64 " len %" PRId64,
                           (uint64_t)monitor_get_int(descriptor, "addr", 0),
                           monitor_get_int(descriptor, "len", 0));
    json_array_foreach(flags, i, flag)
    {
        g_string_append_printf(out, "%s%s", i ? ", " : " (", json_string_value(flag));
    }
    g_string_append(out, json_array_size(flags) ? ")" : "");
}

static void info_element_print(Monitor *monitor, json_t *result, GString *out)
{
    json_t *answer = print_path(result, out), *descriptor;
    json_t *chain = json_object_get(answer, "descs");
    json_t *available = json_object_get(answer, "avail"), *used = json_object_get(answer, "used");
    size_t i;

    g_string_append_printf(out, "  device_name: %s\n  index:   %" PRId64 "\n  desc:\n    descs:\n",
                           monitor_get_string(answer, "name"), monitor_get_int(answer, "index", 0));
    json_array_foreach(chain, i, descriptor)
    {
        print_descriptor(descriptor, out);
        g_string_append(out, i + 1 < json_array_size(chain) ? ",\n" : "\n");
    }
    g_string_append_printf(
        out, "  avail:\n    flags: %" PRId64 "\n    idx:   %" PRId64 "\n    ring:  %" PRId64 "\n",
        monitor_get_int(available, "flags", 0), monitor_get_int(available, "idx", 0),
        monitor_get_int(available, "ring", 0));
    g_string_append_printf(out, "  used:\n    flags: %" PRId64 "\n    idx:   %" PRId64 "\n",
                           monitor_get_int(used, "flags", 0), monitor_get_int(used, "idx", 0));
}

static const MonitorCommand info_element_command = {
    .hmp = "info virtio-queue-element",
    .summary = "shows a chain of buffers in a queue of a virtio device",
    .arguments = element_arguments,
    .run = info_element_run,
    .print = info_element_print,
};
MONITOR_COMMAND(info_element_command);
