// The plan that plimsoll_plan_create hands out. The functions of plimsoll/host.h that ask it for figures are in the .cpp, one
// table for each kind of figure; they refuse what is not in their table. Nothing there throws. Threads: any; plans are immutable.
#pragma once

#include "plimsoll/host.h"
#include "plimsoll/host.hpp"

struct plimsoll_plan {
  plimsoll::Plan plan;
};
