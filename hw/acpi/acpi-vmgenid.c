/* SPDX-License-Identifier: MIT */
/* The SSDT of the generation identifier: a device that says where it is, and the event by which it has changed. */
#include "hw/acpi/acpi.h"
#include "hw/acpi/aml.h"
#include "machine/arch/pc-pm.h"

enum { PAGE_BYTES = 4096, STA_PRESENT = 0x0f, NOTIFY_CHANGED = 0x80 };

/* _STA: there when firmware has placed it. */
static void status_method(GByteArray *out)
{
    size_t method = aml_method(out, "_STA", 0, false), test = aml_if(out);

    aml_op(out, AML_EQUAL);
    aml_path(out, "VGIA");
    aml_op(out, AML_ZERO);
    aml_op(out, AML_RETURN);
    aml_op(out, AML_ZERO);
    aml_end(out, test);
    aml_op(out, AML_RETURN);
    aml_integer(out, STA_PRESENT);
    aml_end(out, method);
}

/* ADDR: the lower and the upper half of the identifier's address. */
static void address_method(GByteArray *out)
{
    size_t method = aml_method(out, "ADDR", 0, false), package;

    aml_op(out, AML_STORE);
    package = aml_package(out, 2);
    aml_op(out, AML_ZERO);
    aml_op(out, AML_ZERO);
    aml_end(out, package);
    aml_op(out, AML_LOCAL0);
    aml_op(out, AML_ADD);
    aml_path(out, "VGIA");
    aml_integer(out, VMGENID_OFFSET);
    aml_op(out, AML_INDEX);
    aml_op(out, AML_LOCAL0);
    aml_op(out, AML_ZERO);
    aml_op(out, AML_ZERO); /* no target */
    aml_op(out, AML_RETURN);
    aml_op(out, AML_LOCAL0);
    aml_end(out, method);
}

void acpi_add_vmgenid(AcpiFiles *files)
{
    GByteArray *out = files->tables;
    g_autofree char *event = g_strdup_printf("\\_GPE._E%02X", (unsigned)PC_GPE_VMGENID);
    uint32_t table, address;
    size_t scope, device, method;

    acpi_place_file(files, VMGENID_GUID_FILE, PAGE_BYTES);
    table = acpi_begin_table(files, "SSDT", 1, true);
    aml_name(out, "VGIA");
    address = (uint32_t)aml_dword(out, 0);
    acpi_add_file_pointer(files, address, VMGENID_GUID_FILE);
    scope = aml_scope(out, "\\_SB");
    device = aml_device(out, "VGEN");
    aml_name_string(out, "_HID", "KASO0001");
    aml_name_string(out, "_CID", "VM_Gen_Counter");
    aml_name_string(out, "_DDN", "VM_Gen_Counter");
    status_method(out);
    address_method(out);
    aml_end(out, device);
    aml_end(out, scope);
    method = aml_method(out, event, 0, false);
    aml_op(out, AML_NOTIFY);
    aml_path(out, "\\_SB.VGEN");
    aml_integer(out, NOTIFY_CHANGED);
    aml_end(out, method);
    acpi_end_table(files, table);
    acpi_write_pointer(files, VMGENID_ADDRESS_FILE, VMGENID_GUID_FILE, VMGENID_OFFSET);
}
