// plimsoll-worker: the process in which libplimsoll runs what it does not run in its host's.
#include "plimsoll/worker.h"

#ifdef __SANITIZE_ADDRESS__
// Under the address sanitizer too a plugin's signal ends the process as a signal: the host tells its user by which one it died.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0";
}
#endif

int main(int argc, char** argv) { return plimsoll_worker_main(argc, argv); }
