"""Motion made plausible, from cheap to costly: filters, a fit of joint angles, and simulated bodies."""
