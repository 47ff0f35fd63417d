/* SPDX-License-Identifier: MIT */
/* The target description (target.xml) of a CPU, from its table of registers. */
#include <string.h>

#include "debug/gdb/session.h"

/* Types that the tables name and gdb does not know by itself, with what they are made of. */
static const struct {
    const char *name, *xml;
} types[] = {
    { "vec128", "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
                "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
                "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n"
                "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n"
                "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n"
                "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
                "<union id=\"vec128\">\n"
                "<field name=\"v4_float\" type=\"v4f\"/>\n"
                "<field name=\"v2_double\" type=\"v2d\"/>\n"
                "<field name=\"v16_int8\" type=\"v16i8\"/>\n"
                "<field name=\"v8_int16\" type=\"v8i16\"/>\n"
                "<field name=\"v4_int32\" type=\"v4i32\"/>\n"
                "<field name=\"v2_int64\" type=\"v2i64\"/>\n"
                "<field name=\"uint128\" type=\"uint128\"/>\n"
                "</union>\n" },
    { "v2ui128", "<vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>\n" },
    { "aarch64v", "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
                  "<vector id=\"v2u\" type=\"uint64\" count=\"2\"/>\n"
                  "<vector id=\"v2i\" type=\"int64\" count=\"2\"/>\n"
                  "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
                  "<vector id=\"v4u\" type=\"uint32\" count=\"4\"/>\n"
                  "<vector id=\"v4i\" type=\"int32\" count=\"4\"/>\n"
                  "<vector id=\"v8u\" type=\"uint16\" count=\"8\"/>\n"
                  "<vector id=\"v8i\" type=\"int16\" count=\"8\"/>\n"
                  "<vector id=\"v16u\" type=\"uint8\" count=\"16\"/>\n"
                  "<vector id=\"v16i\" type=\"int8\" count=\"16\"/>\n"
                  "<vector id=\"v1u\" type=\"uint128\" count=\"1\"/>\n"
                  "<vector id=\"v1i\" type=\"int128\" count=\"1\"/>\n"
                  "<union id=\"vnd\"><field name=\"f\" type=\"v2d\"/>"
                  "<field name=\"u\" type=\"v2u\"/><field name=\"s\" type=\"v2i\"/></union>\n"
                  "<union id=\"vns\"><field name=\"f\" type=\"v4f\"/>"
                  "<field name=\"u\" type=\"v4u\"/><field name=\"s\" type=\"v4i\"/></union>\n"
                  "<union id=\"vnh\"><field name=\"u\" type=\"v8u\"/>"
                  "<field name=\"s\" type=\"v8i\"/></union>\n"
                  "<union id=\"vnb\"><field name=\"u\" type=\"v16u\"/>"
                  "<field name=\"s\" type=\"v16i\"/></union>\n"
                  "<union id=\"vnq\"><field name=\"u\" type=\"v1u\"/>"
                  "<field name=\"s\" type=\"v1i\"/></union>\n"
                  "<union id=\"aarch64v\"><field name=\"d\" type=\"vnd\"/>"
                  "<field name=\"s\" type=\"vns\"/><field name=\"h\" type=\"vnh\"/>"
                  "<field name=\"b\" type=\"vnb\"/><field name=\"q\" type=\"vnq\"/></union>\n" },
};

static bool is_shown(const Vcpu *vcpu, const TargetRegister *reg)
{
    return reg->gdb_feature && (!reg->present || reg->present(vcpu));
}

static void describe_fields(GString *xml, const TargetRegister *reg, const RegisterField *fields)
{
    g_string_append_printf(xml, "<flags id=\"%s_fields\" size=\"%u\">\n", reg->name, reg->bits / 8);
    for (; fields->name; fields++) {
        g_string_append_printf(xml, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>\n", fields->name,
                               fields->low, fields->high);
    }
    g_string_append(xml, "</flags>\n");
}

/* Types come before the registers of a feature that have them. */
static void describe_types(GString *xml, Vcpu *vcpu, const char *feature)
{
    bool done[G_N_ELEMENTS(types)] = { false };

    for (const TargetRegister *reg = vcpu->target->registers; reg->name; reg++) {
        const RegisterField *fields = target_register_fields(vcpu->target, reg->name);

        if (!is_shown(vcpu, reg) || strcmp(reg->gdb_feature, feature) != 0) {
            continue;
        }
        if (fields) {
            describe_fields(xml, reg, fields);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
            if (!done[i] && g_strcmp0(reg->gdb_type, types[i].name) == 0) {
                done[i] = true;
                g_string_append(xml, types[i].xml);
            }
        }
    }
}

/* What scripts for gdb call it, since QEMU does: Arm's system registers in capitals. Caller frees. */
static char *scripts_name(const TargetRegister *reg)
{
    if (strcmp(reg->gdb_feature, "org.gnu.gdb.aarch64.system") == 0) {
        return g_ascii_strup(reg->name, -1);
    }
    return g_strdup(strcmp(reg->name, "kernel_gs_base") == 0 ? "k_gs_base" : reg->name);
}

static void describe_register(GString *xml, Vcpu *vcpu, const TargetRegister *reg, int number)
{
    g_autofree char *name = scripts_name(reg);

    g_string_append_printf(xml, "<reg name=\"%s\" bitsize=\"%u\" regnum=\"%d\"", name,
                           8 * target_register_bytes(reg), number);
    if (target_register_fields(vcpu->target, reg->name)) {
        g_string_append_printf(xml, " type=\"%s_fields\"", reg->name);
    } else if (reg->gdb_type && *reg->gdb_type) {
        g_string_append_printf(xml, " type=\"%s\"", reg->gdb_type);
    }
    g_string_append_printf(xml, " group=\"%s\"/>\n", reg->group);
}

static void describe_feature(GString *xml, Vcpu *vcpu, const char *feature)
{
    int number = 0;

    g_string_append_printf(xml, "<feature name=\"%s\">\n", feature);
    describe_types(xml, vcpu, feature);
    for (const TargetRegister *reg = vcpu->target->registers; reg->name; reg++) {
        if (is_shown(vcpu, reg) && strcmp(reg->gdb_feature, feature) == 0) {
            describe_register(xml, vcpu, reg, number);
        }
        number += reg->gdb_feature != NULL;
    }
    g_string_append(xml, "</feature>\n");
}

char *gdb_describe(Vcpu *vcpu)
{
    GString *xml =
        g_string_new("<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
                     "<target version=\"1.0\">\n");
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);

    g_string_append_printf(xml, "<architecture>%s</architecture>\n",
                           vcpu->target->gdb_architecture);
    for (const TargetRegister *reg = vcpu->target->registers; reg->name; reg++) {
        if (is_shown(vcpu, reg) && g_hash_table_add(done, (void *)reg->gdb_feature)) {
            describe_feature(xml, vcpu, reg->gdb_feature);
        }
    }
    g_string_append(xml, "</target>\n");
    return g_string_free(xml, FALSE);
}
