/* plimsoll/worker.h - the one function behind the program plimsoll-worker, in which libplimsoll runs the plugins of strangers. It is
 * installed beside the library, in libexec/plimsoll, and found there; a host never calls this. C11 and C++. */
#ifndef PLIMSOLL_WORKER_H
#define PLIMSOLL_WORKER_H

#include "plimsoll/export.hpp"

#ifdef __cplusplus
extern "C" {
#endif

/* The program's main. Returns only where it was not started by the library: 2, with a line on standard error. */
PLIMSOLL_API int plimsoll_worker_main(int argc, const char* const* argv);

#ifdef __cplusplus
}
#endif
#endif
