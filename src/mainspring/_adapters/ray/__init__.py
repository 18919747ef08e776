"""Ray, where one machine is not enough (extra ``ray``)."""
