/* SPDX-License-Identifier: MIT */
#include "base/capstone.h"

#include "base/error.h"

CapstoneFunctions capstone;

LIBRARY_FILLS(capstone, CAPSTONE_FUNCTIONS, "libcapstone.so." G_STRINGIFY(CS_API_MAJOR),
              "libcapstone" G_STRINGIFY(CS_API_MAJOR));

bool capstone_open(int arch, int mode, csh *handle, GError **error)
{
    cs_err result;

    if (!library_want(&capstone_library, error)) {
        return false;
    }
    result = capstone.cs_open((cs_arch)arch, (cs_mode)mode, handle);
    return result == CS_ERR_OK ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "libcapstone cannot disassemble for this target (its error %d)", result);
}
