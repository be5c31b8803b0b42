"""Statistics of evaluations: Wilson intervals of success rates, and stratified bootstrap over seeds and tasks."""
