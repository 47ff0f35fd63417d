/* SPDX-License-Identifier: MIT */
/* In builds without Cyrus' library. */
#include "ui/vnc/sasl.h"

bool vnc_sasl_init(GError **error)
{
    return error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "sasl=on: this program was built without libsasl2; use password=on or "
                      "tls-creds= with verify-peer=on");
}

void vnc_sasl_begin(VncClient *client, bool secret)
{
    vnc_client_close(client, "no SASL");
}

void vnc_sasl_free(VncSasl *sasl)
{
}

const char *vnc_sasl_user(const VncSasl *sasl)
{
    return NULL;
}
