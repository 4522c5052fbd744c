// What a plan is made of, and who keeps it while it is made. Made by Context for every request, and for searches that make many plans of
// one (host/fit.cpp). Threads: plain values.
#pragma once

#include <memory>
#include <vector>

#include "plan/settled.hpp"

namespace plimsoll {

struct Context::Asked {
  std::shared_ptr<const Model::Data> model;
  std::shared_ptr<const ProfileSource> engine;
  std::shared_ptr<const std::vector<Device>> devices;
  std::shared_ptr<const Projector> projector;
  std::shared_ptr<const PlanRequest> request; // where what was asked for follows from files
  PlanInput input;
};

} // namespace plimsoll
