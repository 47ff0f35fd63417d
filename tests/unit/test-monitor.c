/* SPDX-License-Identifier: MIT */
/* The monitor on a machine without a board: parsers, line editor, HMP and QMP sessions. */
#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "backends/chardev-open.h"
#include "backends/char/telnet.h"
#include "base/error.h"
#include "machine/chardev.h"
#include "machine/input.h"
#include "machine/machine.h"
#include "monitor/expression.h"
#include "monitor/json-stream.h"
#include "monitor/line-editor.h"
#include "monitor/monitor.h"

/* A character device whose other end is the test. */
typedef struct {
    Chardev chardev;
    GString *output;
} ProbeChardev;

static bool probe_open(Chardev *chardev, GError **error)
{
    ((ProbeChardev *)chardev)->output = g_string_new(NULL);
    chardev->open = true;
    return true;
}

static void probe_close(Chardev *chardev)
{
    g_string_free(((ProbeChardev *)chardev)->output, TRUE);
}

static size_t probe_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    g_string_append_len(((ProbeChardev *)chardev)->output, (const char *)data, size);
    return size;
}

static const ChardevType probe_type = {
    .name = "probe",
    .summary = "the test",
    .instance_size = sizeof(ProbeChardev),
    .open = probe_open,
    .close = probe_close,
    .write = probe_write,
};
CHARDEV_TYPE(probe_type);

static Machine *new_machine(void)
{
    MachineConfig config = { .name = g_strdup("test"), .start_paused = true };
    Machine *machine = machine_new(&config);
    GError *error = NULL;

    machine_build(machine, &error);
    g_assert_no_error(error);
    machine_lock(machine);
    return machine;
}

static void free_machine(Machine *machine)
{
    machine_unlock(machine);
    machine_free(machine);
}

static ProbeChardev *open_probe(Machine *machine, const char *id, bool mux)
{
    GHashTable *options = g_hash_table_new(g_str_hash, g_str_equal);
    GError *error = NULL;
    Chardev *chardev;

    if (mux) {
        g_hash_table_insert(options, (gpointer) "mux", (gpointer) "on");
    }
    chardev = chardev_open(machine, id, "probe", options, &error);
    g_assert_no_error(error);
    g_hash_table_unref(options);
    if (mux) {
        char *base = g_strdup_printf("%s-base", id);

        chardev = machine_find_chardev(machine, base);
        g_free(base);
    }
    return (ProbeChardev *)chardev;
}

/* Types text and returns what came back since the last time; caller frees. */
static char *type_text(ProbeChardev *probe, const char *text)
{
    char *answer;

    chardev_receive(&probe->chardev, (const uint8_t *)text, strlen(text));
    answer = g_strdup(probe->output->str);
    g_string_truncate(probe->output, 0);
    return answer;
}

#define assert_answer(probe, text, part)                                                           \
    do {                                                                                           \
        char *answer_ = type_text((probe), (text));                                                \
        if (!strstr(answer_, (part))) {                                                            \
            g_error("'%s' gave '%s', expected '%s'", (text), answer_, (part));                     \
        }                                                                                          \
        g_free(answer_);                                                                           \
    } while (0)

static void assert_short(const char *form, const char *type, const char *options, bool monitor)
{
    GHashTable *table;
    GError *error = NULL;
    bool is_monitor;
    char *found, **pairs = g_strsplit(options, ";", -1);
    guint count = 0;

    g_assert_true(chardev_parse_short(form, &found, &table, &is_monitor, &error));
    g_assert_cmpstr(found, ==, type);
    g_assert_true(is_monitor == monitor);
    for (char **pair = pairs; *pair; pair++) {
        char *equals = strchr(*pair, '=');

        if (equals) {
            *equals = '\0';
            g_assert_cmpstr(g_hash_table_lookup(table, *pair), ==, equals + 1);
            count++;
        }
    }
    g_assert_cmpuint(g_hash_table_size(table), ==, count);
    g_strfreev(pairs);
    g_hash_table_unref(table);
    g_free(found);
}

static void test_short_forms(void)
{
    static const char *const wrong[] = { "sdtio", "tcp:nowhere", "unix:", "file:", "null:x", "" };

    assert_short("stdio", "stdio", "", false);
    assert_short("mon:stdio", "stdio", "mux=on;signal=off", true);
    assert_short("none", NULL, "", false);
    assert_short("chardev:abc", NULL, "chardev=abc", false);
    assert_short("tcp:127.0.0.1:4444,server,nowait", "socket",
                 "host=127.0.0.1;port=4444;server=on;nowait=on", false);
    assert_short("tcp::4444,server=on,wait=off", "socket", "port=4444;server=on;wait=off", false);
    assert_short("telnet:[::1]:23,server=on", "socket", "host=::1;port=23;telnet=on;server=on",
                 false);
    assert_short("mon:unix:/a,,b,server=on", "socket", "path=/a,b;server=on;mux=on", true);
    assert_short("unix:path=/a,,b,server=on", "socket", "path=/a,b;server=on", false);
    assert_short("unix:server=on,path=/a", "socket", "path=/a;server=on", false);
    assert_short("unix:/a=b", "socket", "path=/a=b", false);
    assert_short("file:/tmp/x", "file", "path=/tmp/x", false);
    assert_short("/dev/ttyS0", "serial", "path=/dev/ttyS0", false);
    assert_short("pty", "pty", "", false);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        GHashTable *table;
        GError *error = NULL;
        bool monitor;
        char *type;

        g_assert_false(chardev_parse_short(wrong[i], &type, &table, &monitor, &error));
        g_assert_error(error, KASO_ERROR, KASO_ERROR_INVALID);
        g_error_free(error);
    }
}

static void test_open_errors(void)
{
    static const struct {
        const char *form, *part;
    } cases[] = {
        { "unix:/nonexistent/folder/x,server=on,wait=off", "/nonexistent/folder/x" },
        { "file:/nonexistent/x", "/nonexistent/x" },
        { "pipe:/nonexistent/x", "mkfifo" },
        { "chardev:nobody", "nobody" },
        { "tcp:127.0.0.1:1,server=on,wait=off,bogus=1", "bogus" },
        { "websocket:127.0.0.1:5000,server=on", "not yet" },
        { "msmouse", "not yet" },
        { "vc:9", "vc:WIDTHxHEIGHT" },
        { "ringbuf,size=3", "power of two" },
    };
    Machine *machine = new_machine();

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GError *error = NULL;
        Chardev *chardev;
        bool monitor;

        g_assert_false(chardev_open_short(machine, "x", cases[i].form, &chardev, &monitor, &error));
        g_assert_nonnull(strstr(error->message, cases[i].part));
        g_error_free(error);
        g_assert_null(machine_find_chardev(machine, "x"));
    }
    free_machine(machine);
}

static void test_busy_port(void)
{
    Machine *machine = new_machine();
    GError *error = NULL;
    Chardev *first, *second;
    bool monitor;
    char *text, *form;

    g_assert_true(chardev_open_short(machine, "a", "tcp:127.0.0.1:0,server=on,wait=off", &first,
                                     &monitor, &error));
    text = first->type->describe(first);
    g_assert_true(g_str_has_prefix(text, "disconnected:tcp:127.0.0.1:"));
    g_assert_true(g_str_has_suffix(text, ",server=on"));
    form = g_strdup_printf("%s,wait=off", text + strlen("disconnected:"));
    g_assert_false(chardev_open_short(machine, "b", form, &second, &monitor, &error));
    g_assert_nonnull(strstr(error->message, "another port"));
    g_error_free(error);
    g_free(form);
    g_free(text);
    free_machine(machine);
}

static void test_telnet(void)
{
    static const char input[] = "a\377\375\001\377\373\030\377\373\030b\377\372\030\001x\377\360"
                                "c\r\nd\377\377e\377\363";
    GByteArray *reply = g_byte_array_new();
    uint8_t data[sizeof input];
    Telnet telnet;
    size_t n;

    telnet_start(&telnet, reply);
    g_byte_array_set_size(reply, 0);
    memcpy(data, input, sizeof input - 1);
    n = telnet_filter(&telnet, data, sizeof input - 1, reply);
    g_assert_cmpmem(data, n, "abc\rd\377e", 7);
    g_assert_true(telnet.got_break);
    /* DO ECHO was our offer; WILL TERMINAL-TYPE is refused once. */
    g_assert_cmpmem(reply->data, reply->len, "\377\376\030", 3);
    g_byte_array_unref(reply);
}

static void append_text(void *opaque, const char *text, size_t size)
{
    g_string_append_printf(opaque, "<%s>", text ? text : "dropped");
}

static void test_json_stream(void)
{
    static const char input[] =
        "{\"a\":[1,{}]} [2]\n{'b':'c\"d\\'e'} garbage here\n{\"open\n{\"z\":1}"
        "{{\377{\"y\":2}\377{\001{\"x\":3}{'bad \377 [4]%%p[5]";
    GString *out = g_string_new(NULL);
    JsonStream *stream = json_stream_new(append_text, out);

    for (size_t i = 0; i < sizeof input - 1; i++) {
        json_stream_feed(stream, (const uint8_t *)input + i, 1);
    }
    g_assert_cmpstr(out->str, ==,
                    "<{\"a\":[1,{}]}><[2]><{\"b\":\"c\\\"d'e\"}><garbage here><{\"open><{\"z\":1}>"
                    "<{{><{\"y\":2}><{\001><{\"x\":3}><{\"bad ><[4]><%><[5]>");
    g_string_truncate(out, 0);
    for (int i = 0; i < 5000; i++) {
        json_stream_feed(stream, (const uint8_t *)"[", 1);
    }
    for (int i = 0; i < 5000; i++) {
        json_stream_feed(stream, (const uint8_t *)"]", 1);
    }
    g_assert_cmpstr(out->str, ==, "<dropped>");
    json_stream_free(stream);
    g_string_free(out, TRUE);
}

static void test_expression(void)
{
    static const struct {
        const char *text;
        int64_t value;
        const char *rest;
    } cases[] = {
        { "1+2*3", 7, "" },
        { "(1+2)*3", 9, "" },
        { "0x10|1", 17, "" },
        { "-5/2", -2, "" },
        { "1<<40", 1LL << 40, "" },
        { "~0", -1, "" },
        { "'A'", 65, "" },
        { "8 10", 8, "10" },
        { "7%4 - 1", 2, "" },
        { "010", 8, "" },
        { "0xffffffffffffffff", -1, "" },
        { "(-9223372036854775807-1)/-1", INT64_MIN, "" },
    };
    static const char *const wrong[] = { "", "1+", "(1", "1/0", "5%(3-3)", "0x", "12z", "$x0" };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *text = cases[i].text;
        GError *error = NULL;
        int64_t value;

        g_assert_true(expression_evaluate(&text, NULL, &value, &error));
        g_assert_cmpint(value, ==, cases[i].value);
        g_assert_cmpstr(text, ==, cases[i].rest);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        const char *text = wrong[i];
        GError *error = NULL;
        int64_t value;

        g_assert_false(expression_evaluate(&text, NULL, &value, &error));
        g_assert_nonnull(error);
        g_error_free(error);
    }
}

static void store_line(void *opaque, const char *line)
{
    g_string_append_printf(opaque, "[%s]", line);
}

static void drop_output(void *opaque, const char *text, size_t size)
{
}

static size_t complete_fruit(void *opaque, const char *line, GPtrArray *candidates)
{
    static const char *const fruits[] = { "apple", "apricot", "banana" };
    const char *space = strrchr(line, ' '), *word = space ? space + 1 : line;

    for (size_t i = 0; i < G_N_ELEMENTS(fruits); i++) {
        if (g_str_has_prefix(fruits[i], word)) {
            g_ptr_array_add(candidates, g_strdup(fruits[i]));
        }
    }
    return strlen(word);
}

static void test_line_editor(void)
{
    static const LineEditorHandlers handlers = { drop_output, store_line, complete_fruit };
    static const struct {
        const char *keys, *lines;
    } cases[] = {
        { "hello\r", "[hello]" },
        { "ab\033[D\033[DX\r", "[Xab]" },
        { "abc\177\177Z\n", "[aZ]" },
        { "one two\027three\r", "[one three]" },
        { "one\r\033[A\r", "[one][one]" },
        { "one\rtwo\r\020\020!\r", "[one][two][one!]" },
        { "one\rtyped\020\016\r", "[one][typed]" },
        { "abc\001\013\031\031\r", "[abcabc]" },
        { "b\t\r", "[banana ]" },
        { "a\t\tr\t\r", "[apricot ]" },
        { "one two\033[1;5D\033[3~\r", "[one wo]" },
        { "x\003y\r", "[y]" },
        { "\303\244\177b\r", "[b]" },
        { "\033[99999999999999;99999999999C\033\033[Zok\r", "[ok]" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        GString *lines = g_string_new(NULL);
        LineEditor *editor = line_editor_new("> ", &handlers, lines);

        line_editor_feed(editor, (const uint8_t *)cases[i].keys, strlen(cases[i].keys));
        g_assert_cmpstr(lines->str, ==, cases[i].lines);
        line_editor_free(editor);
        g_string_free(lines, TRUE);
    }
}

static void test_hmp(void)
{
    Machine *machine = new_machine();
    ProbeChardev *probe = open_probe(machine, "mon", false);
    GError *error = NULL;

    g_assert_true(monitor_create(machine, "readline", &probe->chardev, false, &error));
    assert_answer(probe, "", "(qemu) ");
    assert_answer(probe, "info status\n", "info status\r\nVM status: paused (prelaunch)\r\n(qemu) ");
    assert_answer(probe, "p 1+1\n", "0x2\r\n(qemu) ");
    assert_answer(probe, "p/d 0-7\n", "-7\r\n");
    assert_answer(probe, "print /c 'x'\n", "'x'\r\n");
    assert_answer(probe, "info name\n", "test\r\n");
    assert_answer(probe, "info chardev\n", "mon: filename=probe\r\n");
    assert_answer(probe, "info foo\n", "Error: unknown command: 'info foo'");
    assert_answer(probe, "stpo\n", "did you mean 'stop'");
    assert_answer(probe, "watchdog_action a\n", "does not accept value");
    assert_answer(probe, "migrate_recover\n", "not built yet");
    assert_answer(probe, "help stop\n", "stop|s -- ");
    assert_answer(probe, "help\n", "system_reset");
    assert_answer(probe, "info\n", "info mtree");
    assert_answer(probe, "x/4 0\n", "has no CPU");
    assert_answer(probe, "xp/70000x 0\n", "more than");
    assert_answer(probe, "xp/2xb 0\n", "Cannot access memory");
    assert_answer(probe, "info qom-tree\n", "/machine (none-machine)");
    assert_answer(probe, "info mtree -f\n", "");
    assert_answer(probe, "device_add virtio-nothing,id=x\n", "no device");
    assert_answer(probe, "device_del nobody\n", "Device 'nobody' not found");
    assert_answer(probe, "stop too much\n", "too much");
    assert_answer(probe, "memsave 1\n", "needs the argument");
    assert_answer(probe, "\n", "(qemu) ");
    free_machine(machine);
}

static void log_event(void *opaque, const InputEvent *event)
{
    g_string_append_printf(opaque, "%d:%d:%d ", (int)event->kind, event->code, (int)event->value);
}

static void assert_events(GString *log, const char *wanted)
{
    g_assert_cmpstr(log->str, ==, wanted);
    g_string_truncate(log, 0);
}

/* Keys and pointers by both monitors. */
static void test_input(void)
{
    static const InputHandlerType keyboard = { "keyboard", INPUT_KEY, log_event, NULL };
    static const InputHandlerType mouse = { "mouse", INPUT_RELATIVE | INPUT_BUTTON, log_event,
                                            NULL };
    static const InputHandlerType tablet = { "tablet", INPUT_ABSOLUTE | INPUT_BUTTON, log_event,
                                             NULL };
    Machine *machine = new_machine();
    ProbeChardev *probe = open_probe(machine, "mon", false);
    ProbeChardev *qmp = open_probe(machine, "qmp", false);
    InputHandler handlers[3] = { { 0 } };
    GString *log = g_string_new(NULL);

    g_assert_true(monitor_create(machine, "readline", &probe->chardev, false, NULL));
    g_assert_true(monitor_create(machine, "control", &qmp->chardev, false, NULL));
    g_free(type_text(qmp, "{\"execute\":\"qmp_capabilities\"}"));
    assert_answer(probe, "sendkey a\n", "Error: the machine has no keyboard");
    assert_answer(probe, "mouse_move 1 2\n", "Error: the machine has no mouse");
    assert_answer(probe, "info mice\n", "No mouse devices connected");
    input_add_handler(&handlers[0], machine, &keyboard, log);
    input_add_handler(&handlers[1], machine, &mouse, log);
    input_add_handler(&handlers[2], machine, &tablet, log);
    g_free(type_text(probe, "sendkey ctrl-alt-delete 0\n"));
    assert_events(log, "1:29:1 1:56:1 1:111:1 1:111:0 1:56:0 1:29:0 ");
    g_free(type_text(probe, "sendkey 0x1e-0xd3 0\n"));
    assert_events(log, "1:30:1 1:111:1 1:111:0 1:30:0 ");
    assert_answer(probe, "sendkey ctrl-foo\n", "Error: unknown key: 'foo'");
    assert_answer(probe, "sendkey 0x00\n", "Error: unknown key: '0x00'");
    assert_answer(probe, "info mice\n", "* Mouse #2: tablet (absolute)\r\n  Mouse #1: mouse\r\n");
    g_free(type_text(probe, "mouse_set 1\n"));
    assert_answer(probe, "info mice\n", "* Mouse #1: mouse");
    assert_answer(probe, "mouse_set 7\n", "Mouse at index '7' not found");
    g_free(type_text(probe, "mouse_move -3 4 1\n"));
    assert_events(log, "4:0:-3 4:1:4 2:3:1 2:3:0 ");
    g_free(type_text(probe, "mouse_button 5\n"));
    assert_events(log, "2:0:1 2:2:0 2:1:1 ");
    g_free(type_text(qmp, "{'execute':'send-key','arguments':{'hold-time':0,'keys':["
                          "{'type':'qcode','data':'shift'},{'type':'number','data':2}]}}"));
    assert_events(log, "1:42:1 1:2:1 1:2:0 1:42:0 ");
    g_free(type_text(qmp,
                     "{'execute':'input-send-event','arguments':{'events':["
                     "{'type':'abs','data':{'axis':'y','value':32767}},"
                     "{'type':'rel','data':{'axis':'x','value':-5}},"
                     "{'type':'btn','data':{'button':'wheel-down','down':true}},"
                     "{'type':'key','data':{'key':{'type':'qcode','data':'ret'},'down':true}}]}}"));
    assert_events(log, "8:1:32767 4:0:-5 2:4:1 1:28:1 ");
    assert_answer(qmp,
                  "{'execute':'input-send-event','arguments':{'events':["
                  "{'type':'abs','data':{'axis':'y','value':32768}}]}}",
                  "GenericError");
    assert_answer(qmp,
                  "{'execute':'input-send-event','arguments':{'events':[{'type':'mtt','data':"
                  "{'type':'data','slot':1,'tracking-id':7,'axis':'x','value':9}}]}}",
                  "the machine has no touch screen");
    assert_answer(qmp,
                  "{'execute':'input-send-event','arguments':{'events':[{'type':'mtt','data':"
                  "{'type':'begin','slot':10,'tracking-id':7}}]}}",
                  "a slot is 0 to 9");
    assert_answer(qmp, "{'execute':'send-key','arguments':{'keys':[{'type':'qcode'}]}}",
                  "GenericError");
    assert_answer(qmp, "{'execute':'query-mice'}", "\"name\": \"mouse\"");
    for (unsigned i = 0; i < G_N_ELEMENTS(handlers); i++) {
        input_remove_handler(&handlers[i]);
    }
    g_string_free(log, TRUE);
    free_machine(machine);
}

static void test_hmp_terminal(void)
{
    Machine *machine = new_machine();
    ProbeChardev *probe = open_probe(machine, "mon", false);
    GError *error = NULL;

    g_assert_true(monitor_create(machine, "readline", &probe->chardev, false, &error));
    assert_answer(probe, "info statu\t", "info status ");
    assert_answer(probe, "\r", "VM status");
    assert_answer(probe, "\033[A", "info status");
    assert_answer(probe, "\025qom-list /mach\t", "qom-list /machine");
    free_machine(machine);
}

static void test_qmp(void)
{
    Machine *machine = new_machine();
    ProbeChardev *probe = open_probe(machine, "qmp", false);
    GError *error = NULL;

    g_assert_true(monitor_create(machine, "control", &probe->chardev, false, &error));
    assert_answer(probe, "", "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": ");
    assert_answer(probe, "{\"execute\":\"query-status\"}", "\"class\": \"CommandNotFound\"");
    assert_answer(probe, "{\"execute\":\"qmp_capabilities\",\"id\":7}",
                  "{\"return\": {}, \"id\": 7}\r\n");
    assert_answer(probe, "{\"execute\":\"qmp_capabilities\"}", "CommandNotFound");
    assert_answer(probe, "{'execute':'query-status','id':{'a':[1]}}", "\"id\": {\"a\": [1]}");
    assert_answer(probe, "{\"execute\":\"nothing\"}", "CommandNotFound");
    assert_answer(probe, "{\"execute\":\"stop\",\"arguments\":{\"a\":1}}", "GenericError");
    assert_answer(probe, "{\"execute\":\"stop\",\"argument\":{}}", "GenericError");
    assert_answer(probe, "{\"execute\":1}", "GenericError");
    assert_answer(probe, "[1]", "GenericError");
    assert_answer(probe, "rubbish\n", "GenericError");
    assert_answer(probe, "{\"execute\":\"device_del\",\"arguments\":{\"id\":\"x\"}}",
                  "DeviceNotFound");
    assert_answer(probe,
                  "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":"
                  "\"info status\"}}",
                  "{\"return\": \"VM status: paused (prelaunch)\\n\"}");
    machine_event(machine, "RESET", "{\"guest\": false}");
    assert_answer(probe, "", "\"event\": \"RESET\", \"data\": {\"guest\": false}}\r\n");
    chardev_event(&probe->chardev, CHARDEV_CLOSED);
    chardev_event(&probe->chardev, CHARDEV_OPENED);
    assert_answer(probe, "{\"execute\":\"stop\"}", "CommandNotFound");
    free_machine(machine);
}

/* Each command without arguments gives a result or an error, and the session goes on. */
static void test_every_query(void)
{
    Machine *machine = new_machine();
    ProbeChardev *probe = open_probe(machine, "qmp", false);
    GError *error = NULL;
    char *answer, *line;
    json_t *commands, *entry;
    size_t i;

    g_assert_true(monitor_create(machine, "control", &probe->chardev, false, &error));
    g_free(type_text(probe, "{\"execute\":\"qmp_capabilities\"}"));
    answer = type_text(probe, "{\"execute\":\"query-commands\"}");
    commands = json_loads(answer, 0, NULL);
    g_free(answer);
    g_assert_cmpuint(json_array_size(json_object_get(commands, "return")), >, 40);
    json_array_foreach(json_object_get(commands, "return"), i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        json_t *reply;

        if (!g_str_has_prefix(name, "query-") && !g_str_has_prefix(name, "x-query-")) {
            continue;
        }
        line = g_strdup_printf("{\"execute\":\"%s\"}", name);
        answer = type_text(probe, line);
        reply = json_loads(answer, 0, NULL);
        g_assert_nonnull(reply);
        g_assert_true(json_object_get(reply, "return") || json_object_get(reply, "error"));
        json_decref(reply);
        g_free(answer);
        g_free(line);
    }
    json_decref(commands);
    free_machine(machine);
}

/* Changed, cut and spliced lines: whatever comes in, the session answers the next command. */
static void fuzz_session(Machine *machine, const char *mode, const char *const *seeds, guint count,
                         const char *last, const char *answer)
{
    ProbeChardev *probe = open_probe(machine, mode, false);
    GRand *random = g_rand_new_with_seed(20);
    GError *error = NULL;

    g_assert_true(monitor_create(machine, mode, &probe->chardev, false, &error));
    g_free(type_text(probe, seeds[0]));
    for (unsigned round = 0; round < 20000; round++) {
        GString *line = g_string_new(seeds[g_rand_int_range(random, 0, count)]);
        unsigned changes = g_rand_int_range(random, 0, 6);

        while (changes-- && line->len) {
            gsize at = g_rand_int_range(random, 0, line->len);

            switch (g_rand_int_range(random, 0, 3)) {
            case 0:
                line->str[at] = g_rand_int_range(random, 1, 256);
                break;
            case 1:
                g_string_truncate(line, at);
                break;
            default:
                g_string_insert(line, at, seeds[g_rand_int_range(random, 0, count)]);
            }
        }
        chardev_receive(&probe->chardev, (const uint8_t *)line->str, line->len);
        g_string_truncate(probe->output, 0);
        g_string_free(line, TRUE);
    }
    g_rand_free(random);
    g_free(type_text(probe, "\n\003\377\n"));
    assert_answer(probe, last, answer);
}

static void test_fuzz(void)
{
    static const char *const qmp[] = {
        "{\"execute\":\"qmp_capabilities\"}\n",
        "{\"execute\":\"query-status\",\"id\":[1,{\"a\":null}]}\n",
        "{\"execute\":\"qom-list\",\"arguments\":{\"path\":\"/machine\"}}\n",
        "{\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/\",\"property\":\"type\"}}\n",
        "{'execute':'human-monitor-command','arguments':{'command-line':'info qtree'}}\n",
        "{\"execute\":\"x-read-physical-memory\",\"arguments\":{\"address\":-1}}\n",
    };
    static const char *const hmp[] = {
        "info status\r", "xp/4xw 0x100+$pc*(3-1)\r", "p/c 'a'|7<<3\r",     "info q\t\r",
        "help info\r",   "qom-get /machine type\r",  "\033[A\033[D\177\r", "\020\016\027\031\t\r",
    };
    Machine *machine = new_machine();

    fuzz_session(machine, "control", qmp, G_N_ELEMENTS(qmp), "{\"execute\":\"query-name\"}",
                 "\"name\": \"test\"");
    fuzz_session(machine, "readline", hmp, G_N_ELEMENTS(hmp), "info name\r", "test\r\n");
    free_machine(machine);
}

typedef struct {
    GString *got;
    unsigned breaks;
} Console;

static size_t console_can_receive(void *opaque)
{
    return 16;
}

static void console_receive(void *opaque, const uint8_t *data, size_t size)
{
    g_string_append_len(((Console *)opaque)->got, (const char *)data, size);
}

static void console_event(void *opaque, ChardevEvent event)
{
    ((Console *)opaque)->breaks += event == CHARDEV_BREAK;
}

static void run_main_loop(Machine *machine)
{
    machine_unlock(machine);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    machine_lock(machine);
}

static void test_mux(void)
{
    static const ChardevFrontend frontend = { console_can_receive, console_receive, console_event };
    Console console = { g_string_new(NULL), 0 };
    Machine *machine = new_machine();
    ProbeChardev *probe = open_probe(machine, "con", true);
    Chardev *mux = machine_find_chardev(machine, "con");
    GError *error = NULL;

    g_assert_true(monitor_create(machine, "readline", mux, false, &error));
    g_assert_true(chardev_attach(mux, &frontend, &console, &error));
    run_main_loop(machine);
    g_assert_cmpstr(probe->output->str, ==, "");
    g_free(type_text(probe, "login\001\001\001b"));
    g_assert_cmpstr(console.got->str, ==, "login\001");
    g_assert_cmpuint(console.breaks, ==, 1);
    assert_answer(probe, "\001h", "ends Kaso");
    g_free(type_text(probe, "\001c"));
    run_main_loop(machine);
    assert_answer(probe, "", "(qemu) ");
    assert_answer(probe, "info name\n", "test");
    chardev_write(mux, "from the guest", 14);
    assert_answer(probe, "", "from the guest");
    g_free(type_text(probe, "\001c"));
    run_main_loop(machine);
    /* All in one piece: what follows the switch belongs to the monitor. */
    g_free(type_text(probe, "\001cinfo name\n"));
    run_main_loop(machine);
    assert_answer(probe, "", "test");
    g_free(type_text(probe, "\001c"));
    run_main_loop(machine);
    g_free(type_text(probe, "\001t"));
    chardev_write(mux, "\nline", 5);
    assert_answer(probe, "", "\n[00:00:0");
    chardev_detach(mux, &console);
    g_string_free(console.got, TRUE);
    free_machine(machine);
}

static void test_ringbuf(void)
{
    Machine *machine = new_machine();
    GError *error = NULL;
    Chardev *chardev;
    bool monitor;
    char *out;

    g_assert_true(
        chardev_open_short(machine, "ring", "ringbuf,size=8", &chardev, &monitor, &error));
    chardev_write(chardev, "0123456789", 10);
    g_assert_true(monitor_run_line(machine, "ringbuf_read ring 4", &out, &error));
    g_assert_cmpstr(out, ==, "2345\n");
    g_free(out);
    g_assert_true(monitor_run_line(machine, "ringbuf_write ring ab", &out, &error));
    g_free(out);
    g_assert_true(monitor_run_line(machine, "ringbuf_read ring 100", &out, &error));
    g_assert_cmpstr(out, ==, "6789ab\n");
    g_free(out);
    free_machine(machine);
}

static void test_netdev(void)
{
    static const struct {
        const char *line, *part;
    } cases[] = {
        { "netdev_add user,id=n0,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=udp::0-:53", NULL },
        { "netdev_add user,id=n0", "already a netdev" },
        { "netdev_add user,id=n1,hostfwd=nonsense", "nonsense" },
        { "netdev_add user,id=n1,net=10.0.2.0/99", "10.0.2.0/99" },
        { "netdev_add user,id=n1,dhcpstart=192.168.1.1", "outside" },
        { "netdev_add user,id=n1,smb=/tmp", "not yet" },
        { "netdev_add user,id=n1,ipv4=off,ipv6=off", "both" },
        { "netdev_add user,id=n1,tftp=/nonexistent", "not a folder" },
        { "netdev_add user,id=n1,hostfw=x", "hostfwd" },
        { "netdev_add l2tpv3,id=n1", "not yet" },
        { "netdev_add usr,id=n1", "user" },
        { "netdev_add user", "id=" },
        { "netdev_add socket,id=n1", "exactly one" },
        { "netdev_add socket,id=n1,listen=127.0.0.1:0", NULL },
        { "netdev_add socket,id=n2,connect=127.0.0.1:1", "cannot connect" },
        { "hostfwd_add tcp:127.0.0.1:0-:80", NULL },
        { "hostfwd_add n0 tcp:127.0.0.1:0-:81", NULL },
        { "hostfwd_add nobody tcp::0-:80", "nobody" },
        { "hostfwd_remove tcp:127.0.0.1:9", "no host forwarding rule" },
        { "netdev_del n1", NULL },
        { "netdev_del n1", "not found" },
    };
    Machine *machine = new_machine();
    GError *error = NULL;
    char *out;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        bool ok = monitor_run_line(machine, cases[i].line, &out, &error);

        if (cases[i].part ? ok || !strstr(error->message, cases[i].part) : !ok) {
            g_error("'%s': %s", cases[i].line, error ? error->message : "worked");
        }
        g_clear_error(&error);
        g_free(out);
    }
    g_assert_true(monitor_run_line(machine, "info usernet", &out, &error));
    g_assert_nonnull(strstr(out, "HOST_FORWARD"));
    g_free(out);
    g_assert_true(monitor_run_line(machine, "info network", &out, &error));
    g_assert_nonnull(strstr(out, "n0: index=0,type=user,net=10.0.2.0,restrict=off"));
    g_free(out);
    free_machine(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/chardev/short-forms", test_short_forms);
    g_test_add_func("/chardev/open-errors", test_open_errors);
    g_test_add_func("/chardev/busy-port", test_busy_port);
    g_test_add_func("/chardev/telnet", test_telnet);
    g_test_add_func("/chardev/mux", test_mux);
    g_test_add_func("/chardev/ringbuf", test_ringbuf);
    g_test_add_func("/netdev", test_netdev);
    g_test_add_func("/monitor/json-stream", test_json_stream);
    g_test_add_func("/monitor/expression", test_expression);
    g_test_add_func("/monitor/line-editor", test_line_editor);
    g_test_add_func("/monitor/hmp", test_hmp);
    g_test_add_func("/monitor/input", test_input);
    g_test_add_func("/monitor/hmp-terminal", test_hmp_terminal);
    g_test_add_func("/monitor/qmp", test_qmp);
    g_test_add_func("/monitor/every-query", test_every_query);
    g_test_add_func("/monitor/fuzz", test_fuzz);
    return g_test_run();
}
