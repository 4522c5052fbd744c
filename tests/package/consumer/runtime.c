/* Links the runtime library, which brings the host's. */
#include <plimsoll/runtime.h>
#include <stdio.h>

int main(void) {
  plimsoll_free(NULL);
  return puts(plimsoll_version()) < 0;
}
