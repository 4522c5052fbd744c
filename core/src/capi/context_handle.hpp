// The context that plimsoll_context_create hands out. Threads: any.
#pragma once

#include "plimsoll/host.h"
#include "plimsoll/host.hpp"

struct plimsoll_context {
  plimsoll::Context context;
};
