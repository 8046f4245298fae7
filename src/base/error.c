/* SPDX-License-Identifier: Apache-2.0 */
/* Filling the caller's error record without stdio, and the fixed text of every status. */
#include "base/error.h"

#include <stddef.h>

isg_status isgi_error(isg_error *err, isg_status status, const char *message, uint64_t offset, int32_t node)
{
    if (err) {
        size_t i = 0;
        err->status = status;
        err->node = node;
        err->offset = offset;
        for (; message[i] && i + 1 < sizeof err->message; i++) err->message[i] = message[i];
        err->message[i] = '\0';
    }
    return status;
}

const char *isg_status_text(isg_status status)
{
    switch (status) {
    case ISG_OK: return "ok";
    case ISG_E_ARG: return "invalid argument";
    case ISG_E_NOMEM: return "out of memory";
    case ISG_E_WORKSPACE: return "workspace too small or misaligned";
    case ISG_E_IO: return "input or output failed";
    case ISG_E_FORMAT: return "malformed input";
    case ISG_E_VERSION: return "unknown format version";
    case ISG_E_CHECKSUM: return "checksum mismatch";
    case ISG_E_UNSUPPORTED: return "not supported";
    case ISG_E_LIMIT: return "limit exceeded";
    case ISG_E_SHAPE: return "shapes do not match";
    case ISG_E_NUMERIC: return "not a finite number";
    case ISG_E_CANCELLED: return "cancelled";
    case ISG_E_INTERNAL: return "internal error";
    case ISG_E_TARGET: return "target missed";
    }
    return "unknown status";
}
